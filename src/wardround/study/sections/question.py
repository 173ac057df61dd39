"""The [question] section: what the study asks, in words."""

from pydantic import Field

from wardround.study.sections.section import Section


class QuestionSection(Section):
    """What the study asks, in words that a doctor and a privacy officer can read."""

    title: str = Field(min_length=3, max_length=200, description="One line that names the study.")
    description: str = Field(default="", max_length=5000, description="What is asked, of whom, and why.")
    intended_use: str = Field(default="", max_length=5000, description="What the model may be used for, and what not.")
    contact: str = Field(default="", max_length=500, description="Who answers questions about the study.")
