#!/usr/bin/env bash
# The commands of docs/deploy.md in containers: a hub, three hospitals, a study. Needs Docker 26 or newer with its compose plugin.
#
#   examples/compose/start.sh            afterwards: docker compose -f examples/compose/compose.yaml down --volumes
set -euo pipefail
file=$(cd "$(dirname "$0")" && pwd)/compose.yaml
hospitals="north south west"

docker compose version >/dev/null 2>&1 || { echo "docker has no compose plugin here: install it (docker compose version)" >&2; exit 1; }

compose() { docker compose -f "$file" "$@"; }
once() { compose run --rm --no-deps -T "$@"; }          # once NAME COMMAND...: in a container of that party that ends with it
at() { compose exec -T "$1" wardround "${@:2}"; }       # at NAME COMMAND...: in the party's running container

compose --profile once build
once data data make /data/drawn
once hub hub init --address hub:9443 --title "Study office"
compose up --detach hub
for name in $hospitals; do
    at hub hub invite "$name" --no-wait --out "/mail/$name.toml"
    once "$name" site join "/mail/$name.toml"
    # Two people compare eight words by telephone. Here both are on one screen, and compared by the script.
    there=$(once "$name" site join "/mail/$name.toml" | grep '^    ' || true)
    here=$(at hub hub confirm "$name" --look | grep '^    ' || true)
    [ -n "$there" ] && [ "$there" = "$here" ] || { echo "the words differ" >&2; exit 1; }
    at hub hub confirm "$name" --yes
    once "$name" site data add x-rays /data
    compose up --detach "$name"
done

study=$(at hub hub run /examples/three_hospitals.toml --synthetic --json | sed 's/.*"study": "\([0-9a-f]*\)".*/\1/')
for name in $hospitals; do
    until at "$name" site studies | grep -q "${study:0:12}"; do sleep 1; done
    at "$name" site approve "$study" --data x-rays --by "Data manager of $name" --yes
done
at hub hub run /examples/three_hospitals.toml --synthetic --wait
