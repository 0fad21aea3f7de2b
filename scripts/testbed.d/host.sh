# shellcheck shell=bash
# The build host: what it must have. All else comes from the root.

# Commands that are needed, each with the Debian package that has it.
host_needs="mmdebstrap:mmdebstrap unshare:util-linux flock:util-linux"

host_missing()
{
	local need

	for need in $host_needs; do
		command -v "${need%%:*}" >/dev/null || echo "${need##*:}"
	done | sort -u
}

# Installs what is missing where that is apt's to do, else names it and stops.
host_packages()
{
	local missing

	missing=$(host_missing | xargs)
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null ||
		die "this host lacks: $missing. Install them and run this again."
	# shellcheck disable=SC2086 # a list of words
	step host-packages "installing on this host: $missing" host_install $missing
}

host_install()
{
	export DEBIAN_FRONTEND=noninteractive

	apt-get install -y --no-install-recommends "$@" || {
		apt-get update
		apt-get install -y --no-install-recommends "$@"
	}
}
