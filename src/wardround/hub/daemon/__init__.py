"""The hub as a service: roster, invitations, studies that wait for approval and run, and what is shown of them."""
