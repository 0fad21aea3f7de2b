# shellcheck shell=bash
# null_blk devices for shell tests. Sourced.

nullb_dir=/sys/kernel/config/nullb

# nullb_make NAME [ATTRIBUTE=VALUE]...: /dev/NAME.
nullb_make()
{
	local attribute dir=$nullb_dir/$1

	shift
	modprobe null_blk nr_devices=0
	mkdir "$dir"
	for attribute in "$@" power=1; do
		echo "${attribute#*=}" >"$dir/${attribute%%=*}"
	done
}

nullb_remove()
{
	[ ! -d "$nullb_dir/$1" ] || rmdir "$nullb_dir/$1"
}
