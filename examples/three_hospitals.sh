#!/usr/bin/env bash
# From nothing to a study between a hub and three hospitals, on one machine, by the commands of docs/deploy.md.
#
#   examples/three_hospitals.sh [FOLDER]     default: a new folder below /tmp; it stays, to be looked at
#
# As root on Linux each party gets a network of its own (ip netns): the hospitals reach one port of the hub and nothing else.
# Otherwise all of them use the loopback device, and it says so and why. Takes about three minutes on two cores.
# A bad line for all of them, each part by itself or together:
#   WARDROUND_NETEM="delay 80ms 20ms loss 3%"    by tc netem, where the kernel has it
#   WARDROUND_LOSS=0.03                          of what arrives anywhere, this share is dropped (iptables)
#   WARDROUND_RATE=1mbit                         of each line, by tc tbf
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wardround=${WARDROUND:-wardround}
folder=${1:-$(mktemp -d "${TMPDIR:-/tmp}/three-hospitals.XXXXXX")}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
hospitals="north south west"
port=9443
tag=wr$$
export NO_COLOR=1

# Sets `networks` where each party can have a network of its own; else `why_shared`.
own_networks() {
    networks="" why_shared=""
    if [ "$(id -u)" != 0 ]; then why_shared="this is not root"; return; fi
    if ! command -v ip > /dev/null; then why_shared="there is no command ip (iproute2)"; return; fi
    if ! why_shared=$(ip netns add "$tag-try" 2>&1); then why_shared=${why_shared:-ip netns add failed}; return; fi
    ip netns del "$tag-try"
    networks=yes
}

# as_party NAME: what stands before a command of that party, in the array `as`: a home and, where it can be, a network of its own.
as_party() {
    as=(env "WARDROUND_HOME=$folder/$1/home" "WARDROUND_HUB=$folder/$1/hub" "WARDROUND_SITE=$folder/$1/site")
    [ -z "$networks" ] || as=(ip netns exec "$tag-$1" "${as[@]}")
}

# party NAME COMMAND...: the command as that party.
party() {
    local as
    as_party "$1"
    shift
    "${as[@]}" "$@"
}

# said NAME COMMAND...: the same, shown as it would be typed.
said() {
    local name=$1
    shift
    echo "$name\$ wardround $*"
    party "$name" "$wardround" "$@" | sed 's/^/    /'
}

# A bridge with the hub and the hospitals on it; only the hub's port is let through.
make_networks() {
    ip link add "$tag" type bridge && ip link set "$tag" up
    local number=1
    for name in hub $hospitals; do
        ip netns add "$tag-$name"
        ip link add "$tag-$number" type veth peer name eth0 netns "$tag-$name"
        ip link set "$tag-$number" master "$tag" up
        [ -z "${WARDROUND_NETEM:-}" ] || tc qdisc add dev "$tag-$number" root netem $WARDROUND_NETEM
        [ -z "${WARDROUND_RATE:-}" ] || tc qdisc add dev "$tag-$number" root tbf rate "$WARDROUND_RATE" burst 32kb latency 400ms
        ip -n "$tag-$name" addr add "10.77.0.$number/24" dev eth0
        ip -n "$tag-$name" link set eth0 up && ip -n "$tag-$name" link set lo up
        [ -z "${WARDROUND_LOSS:-}" ] || ip netns exec "$tag-$name" \
            iptables -A INPUT -i eth0 -m statistic --mode random --probability "$WARDROUND_LOSS" -j DROP
        number=$((number + 1))
    done
}

clean_up() {
    trap - EXIT
    for file in "$folder"/*/service.pid; do [ ! -f "$file" ] || kill "$(cat "$file")" 2> /dev/null || true; done
    wait 2> /dev/null || true
    if [ -n "$networks" ]; then
        for name in hub $hospitals; do ip netns del "$tag-$name" 2> /dev/null || true; done
        ip link del "$tag" 2> /dev/null || true
    fi
}

# service NAME COMMAND...: a service in the background; its output is in FOLDER/NAME/service.out.
service() {
    local name=$1 as
    shift
    echo "$name\$ wardround $*  (in the background)"
    as_party "$name"
    "${as[@]}" "$wardround" "$@" > "$folder/$name/service.out" 2>&1 & # no function here: $! is then the service itself
    echo $! > "$folder/$name/service.pid"
}

until_seen() { # until_seen SECONDS TEXT COMMAND...: tries the command until its output holds the text
    local seconds=$1 text=$2
    shift 2
    for _ in $(seq "$seconds"); do
        if "$@" 2>&1 | grep -q -- "$text"; then return; fi
        sleep 1
    done
    echo "waited $seconds seconds for: $text" >&2
    "$@" >&2
    exit 1
}

own_networks
trap clean_up EXIT
for name in hub $hospitals; do mkdir -p "$folder/$name"; done
if [ -n "$networks" ]; then
    make_networks
    address=10.77.0.1:$port
    echo "# the hub and each hospital have a network of their own"
else
    address=127.0.0.1:$port
    if [ -n "${WARDROUND_NETEM:-}${WARDROUND_LOSS:-}${WARDROUND_RATE:-}" ]; then
        echo "WARDROUND_NETEM, WARDROUND_LOSS and WARDROUND_RATE need networks of their own: $why_shared" >&2
        exit 1
    fi
    echo "# no networks of their own ($(echo "$why_shared" | tail -n 1)): hub and hospitals share the loopback device"
fi

echo "# drawn X-rays of no patient, a folder for each hospital"
"$wardround" data make "$folder/data" 2> /dev/null | tail -n 1

echo "# at the hub"
said hub hub init --address "$address" --title "Study office"
service hub hub up
until_seen 60 "hospitals connect" cat "$folder/hub/service.out"

for name in $hospitals; do
    echo "# $name joins"
    said hub hub invite "$name" --no-wait --out "$folder/$name/invitation.toml"
    said "$name" site join "$folder/$name/invitation.toml"
    # Two people compare eight words by telephone. Here both are on one screen, and compared by the script.
    there=$(party "$name" "$wardround" site join "$folder/$name/invitation.toml" | grep '^    ' || true)
    here_words=$(party hub "$wardround" hub confirm "$name" --look | grep '^    ' || true)
    [ -n "$there" ] && [ "$there" = "$here_words" ] || { echo "the words differ" >&2; exit 1; }
    said hub hub confirm "$name" --yes
    said "$name" site data add x-rays "$folder/data/$name"
    service "$name" site up
done

echo "# the study"
said hub hub run "$here/three_hospitals.toml" --synthetic
study=$(party hub "$wardround" hub status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["studies"][-1]["study"])')
for name in $hospitals; do
    until_seen 60 "${study:0:12}" party "$name" "$wardround" site studies
    said "$name" site approve "${study:0:12}" --data x-rays --by "Data manager of $name" --yes
done
said "${hospitals%% *}" site review "${study:0:12}" --data x-rays --html "$folder/review.html"
until_seen 300 "finished" party hub "$wardround" hub status "${study:0:12}"
said hub hub status "${study:0:12}"

echo "# the finished model, evaluated: at two hospitals the policy has approved that beforehand, at the third a person does"
# policy NAME: what its data manager allows, with the keys that she has compared, as the page of the first study shows them.
policy() {
    local others
    others=$(party "$1" "$wardround" site review "${study:0:12}" | sed -n 's/^ *\([a-z]*\): key \([0-9a-f ]*[0-9a-f]\) *$/"\1 \2",/p' | grep -v "^\"$1 ")
    printf 'leads = ["the study lead of this try"]\nsmallest_patients = 5\npre_approve = "evaluation-only"\n'
    printf 'pre_approve_hospitals = [\n%s\n]\npre_approve_data = ["x-rays"]\npre_approve_studies = 1\n' "$others"
}
for name in north south; do
    (umask 077 && policy "$name" > "$folder/$name/site/policy.toml")
    said "$name" site policy
done
(umask 077 && echo 'smallest_patients = 5' > "$folder/west/site/policy.toml") # a dozen drawn patients are tested at each
said hub study new "$folder/hub/evaluate.toml" --evaluate "$folder/hub/hub/studies/$study/run"
said hub hub run "$folder/hub/evaluate.toml" --synthetic
evaluation=$(party hub "$wardround" hub status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["studies"][-1]["study"])')
until_seen 60 "${evaluation:0:12}" party west "$wardround" site studies
said west site approve "${evaluation:0:12}" --data x-rays --by "Data manager of west" --yes
until_seen 300 "finished" party hub "$wardround" hub status "${evaluation:0:12}"
said hub hub status "${evaluation:0:12}"
said north evidence "${evaluation:0:12}" --out "$folder/north/evaluation.zip"
said north evidence verify "$folder/north/evaluation.zip"

echo "# what each hospital can prove"
for name in $hospitals; do
    said "$name" site log --verify
    said "$name" evidence "${study:0:12}" --out "$folder/$name/evidence.zip"
done
said hub hub log --verify
said hub evidence verify "$folder"/north/evidence.zip "$folder"/south/evidence.zip "$folder"/west/evidence.zip
echo "# all of it is in $folder"
