// SPDX-License-Identifier: GPL-2.0
/* The targets that there are, and which of them a guest means. */
#include <linux/slab.h>
#include "vhost_scsi.h"

LIST_HEAD(vhost_scsi_tpgs);
DEFINE_MUTEX(vhost_scsi_tpgs_lock); /* vhost_scsi_tpgs */

void vhost_scsi_tpg_get(struct vhost_scsi_tpg *tpg)
{
	kref_get(&tpg->refs);
}

static void vhost_scsi_tpg_release(struct kref *refs)
{
	kfree(container_of(refs, struct vhost_scsi_tpg, refs));
}

void vhost_scsi_tpg_put(struct vhost_scsi_tpg *tpg)
{
	kref_put(&tpg->refs, vhost_scsi_tpg_release);
}

/* The well-known logical unit is asked of the first target that there is. */
static struct vhost_scsi_tpg *vhost_scsi_first_tpg(struct vhost_scsi_endpoint *endpoint)
{
	unsigned int i;

	for (i = 0; i < VHOST_SCSI_TARGETS; i++)
		if (endpoint->tpgs[i])
			return endpoint->tpgs[i];
	return NULL;
}

struct vhost_scsi_tpg *vhost_scsi_find_tpg(struct vhost_virtqueue *vq,
					   const struct vhost_scsi_lun *lun)
{
	struct vhost_scsi_endpoint *endpoint = vhost_vq_get_backend(vq);

	if (lun->any_target)
		return vhost_scsi_first_tpg(endpoint);
	return endpoint->tpgs[lun->target];
}
