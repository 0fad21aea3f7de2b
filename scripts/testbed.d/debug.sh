# shellcheck shell=bash
# The debug kernel: the distribution's source with debug.config, built in the
# root into the cache, keyed by the configuration. It finds what the stock kernel
# does not tell: see debug.config.

# How many times longer things may take on it; L1 tells it the tests.
# shellcheck disable=SC2034 # run.sh's
debug_slowness=4

# The fragments of its configuration; debug-more has another one.
debug_fragments()
{
	fragments=(debug.config)
	[ "$kernel_debug" != debug-more ] || fragments+=(debug-more.config)
}

debug_find()
{
	local fragments

	debug_fragments
	debug_key=$(key_of "$here"/build-debug "${fragments[@]/#/"$here"/}" -- "$root_key")
	debug=$cache/debug-$debug_key
}

debug_setup()
{
	local fragments

	debug_find
	debug_fragments
	cached "$debug" debug "building the debug kernel (10 minutes on 2 cores)" \
		build_in_root debug "$debug" "${fragments[@]/#//project/scripts/testbed.d/}"
}
