#!/bin/bash
# libiscsi's tests of a SCSI disk, in the guest: guest.sh SECONDS TESTS...
# TESTS are of one suite, which may take so many seconds. Its output stands between two lines that tests/lib/
# peer.sh looks for, and the guest ends when that has looked at the device, too.
set -u

limit=$1
shift
modprobe -a virtio_scsi sd_mod
for _ in $(seq 100); do
	[ ! -b /dev/sda ] || break
	sleep 0.1
done
[ -b /dev/sda ] || { echo "there is no /dev/sda"; exit 99; }
cd /tmp || exit

# Its buffers begin anywhere, so that blocks lie in two pages; here, where a page does.
if [ -n "${PEER_ALIGNED-}" ]; then
	# There are no headers here, nor what a linker takes of the C library.
	gcc -O2 -shared -fPIC -nostdlib -x c -o aligned.so - <<-'EOF' || exit
	void *__libc_malloc(unsigned long size);
	void *memalign(unsigned long alignment, unsigned long size);

	void *malloc(unsigned long size)
	{
		return size < 512 ? __libc_malloc(size) : memalign(4096, size);
	}
	EOF
	export LD_PRELOAD=/tmp/aligned.so
fi
for tests in "$@"; do
	suite=${tests#ALL.}
	suite=${suite%%.*}
	echo "suite $suite"
	# By the line: what a suite has said before it breaks off is not to be lost.
	timeout -k 5 "$limit" stdbuf -oL iscsi-test-cu --dataloss -t "$tests" /dev/sda \
		</dev/null 2>&1
	printf '\nend %s %d\n' "$suite" $?
done
echo all
until [ -e /run/testbed/counted ]; do
	sleep 0.2
done
