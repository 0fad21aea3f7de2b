// SPDX-License-Identifier: GPL-2.0
/*
 * A guest whose commands fail too often is held back: the target core writes a line into the
 * host's log for most of these, and nothing limits that. What may have one, the long way, is
 * then answered BUSY, which is a driver's word for later; what goes the short way is good
 * already.
 */
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include "vhost_scsi.h"

/* So many at once are fine: a driver asks many LUNs for what they may not have. */
#define VHOST_SCSI_FAILURES_AT_ONCE	500

static unsigned int max_failures = 10;
module_param(max_failures, uint, 0644);
MODULE_PARM_DESC(max_failures,
		 "Commands of a device that may fail in a second, and 500 at once; beyond that they are answered BUSY: 10. 0: no limit");

/* How long one counts, in ns; 0: not at all. */
static s64 vhost_scsi_failure_lasts(void)
{
	unsigned int most = READ_ONCE(max_failures);

	return most ? NSEC_PER_SEC / most : 0;
}

bool vhost_scsi_is_held_back(const struct vhost_scsi *scsi)
{
	s64 until = atomic64_read(&scsi->failures_until), lasts;

	/* Most devices have none. */
	if (!until)
		return false;
	lasts = vhost_scsi_failure_lasts();
	return lasts && until - (s64)ktime_get_coarse_ns() > VHOST_SCSI_FAILURES_AT_ONCE * lasts;
}

/* One that the target core, as far as can be seen from here, has written about. */
static bool vhost_scsi_was_logged(const struct vhost_scsi_req *req)
{
	struct scsi_sense_hdr sense;

	switch (req->se_cmd.scsi_status) {
	case SAM_STAT_CHECK_CONDITION:
		return !scsi_normalize_sense(req->sense, req->se_cmd.scsi_sense_length, &sense) ||
		       sense.sense_key != UNIT_ATTENTION;
	case SAM_STAT_RESERVATION_CONFLICT:
		/* Of what is read or written it writes nothing then. */
		return !vhost_scsi_cdb_is_rw(req->command.cdb);
	default:
		return false;
	}
}

static void vhost_scsi_tell_held_back(struct vhost_scsi *scsi)
{
	if (!vhost_scsi_is_held_back(scsi) || xchg(&scsi->held_back_told, true))
		return;
	pr_warn("vhost_scsi: device %u: its guest's commands fail too often and are answered BUSY meanwhile; see max_failures\n",
		scsi->number);
}

void vhost_scsi_count_failure(struct vhost_scsi_req *req)
{
	struct vhost_scsi *scsi = to_vhost_scsi_vq(req->cmd.svq)->scsi;
	s64 lasts = vhost_scsi_failure_lasts(), until, now;

	if (!lasts || !req->sent || !vhost_scsi_was_logged(req))
		return;
	now = ktime_get_coarse_ns();
	until = atomic64_read(&scsi->failures_until);
	/* Queues end their requests side by side. */
	while (!atomic64_try_cmpxchg(&scsi->failures_until, &until, max(until, now) + lasts))
		;
	vhost_scsi_tell_held_back(scsi);
}
