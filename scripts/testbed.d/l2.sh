# shellcheck shell=bash
# What L2 starts from: its root as a disk, in the cache.

l2_find()
{
	l2_key=$(key_of "$here"/build-l2 -- "$root_key")
	l2=$cache/l2-$l2_key
}

l2_make()
{
	in_root bash /project/scripts/testbed.d/build-l2 "/cache/${root##*/}" \
		/cache/l2-build.partial "/cache/${l2##*/}.partial"
	mv "$l2.partial" "$l2"
	rm -rf "$cache/l2-build.partial"
}

l2_setup()
{
	l2_find
	cached "$l2" l2 "making the disk that L2 starts from" l2_make
}
