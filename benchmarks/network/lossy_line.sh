#!/usr/bin/env bash
# A command in a network of its own whose only line, the loopback device, loses packets and is slow. As root on Linux.
#
#   benchmarks/network/lossy_line.sh 0.03 20mbit python benchmarks/network/chaos.py --kills 40
#
# The first number is the share of packets that are dropped on arrival, the second the most that goes over the line (tc tbf). At
# the end it says how many packets came and how many of them were dropped.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 LOSS RATE COMMAND..." >&2; exit 2; }
loss=$1 rate=$2
shift 2
name=lossy$$
ip netns add "$name"
trap 'ip netns del "$name"' EXIT
ip -n "$name" link set lo up
ip netns exec "$name" tc qdisc add dev lo root tbf rate "$rate" burst 256kb latency 400ms
ip netns exec "$name" iptables -A INPUT -m statistic --mode random --probability "$loss" -j DROP
ip netns exec "$name" iptables -A INPUT -j ACCEPT
code=0
ip netns exec "$name" "$@" || code=$?
ip netns exec "$name" iptables -nvxL INPUT | awk '$3 == "DROP" {dropped = $1} $3 == "ACCEPT" {passed = $1}
    END {print "# packets that came: " passed + dropped ", dropped: " dropped}' >&2
exit $code
