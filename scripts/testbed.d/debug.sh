# shellcheck shell=bash
# The debug kernel: the distribution's source with debug.config, built in the
# root into the cache, keyed by the configuration. It finds what the stock kernel
# does not tell: see debug.config.

# How many times longer things may take on it; L1 tells it the tests.
# shellcheck disable=SC2034 # run.sh's
debug_slowness=4

debug_find()
{
	debug_key=$(key_of "$here"/build-debug "$here"/debug.config -- "$root_key")
	debug=$cache/debug-$debug_key
}

debug_setup()
{
	debug_find
	cached "$debug" debug "building the debug kernel (12 minutes on 2 cores)" \
		build_in_root debug "$debug"
}
