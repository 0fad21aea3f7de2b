// SPDX-License-Identifier: GPL-2.0
/*
 * What the target core calls: the way of a command back. It says nothing that is not in
 * its struct se_cmd, so all is left there until it gives that back, which is when the
 * request is done: vhost_scsi_release_cmd(). It may then be another one at once.
 */
#include <linux/module.h>
#include "vhost_scsi.h"

static char *vhost_scsi_tpg_get_wwn(struct se_portal_group *se_tpg)
{
	return to_vhost_scsi_tpg(se_tpg)->tport->name;
}

static u16 vhost_scsi_tpg_get_tag(struct se_portal_group *se_tpg)
{
	return to_vhost_scsi_tpg(se_tpg)->tag;
}

/* Whatever name a nexus has, it needs no access list. */
static int vhost_scsi_true(struct se_portal_group *se_tpg)
{
	return 1;
}

static int vhost_scsi_prot_type(struct se_portal_group *se_tpg)
{
	return to_vhost_scsi_tpg(se_tpg)->prot_type;
}

/* The data is here already. */
static int vhost_scsi_write_pending(struct se_cmd *se_cmd)
{
	target_execute_cmd(se_cmd);
	return 0;
}

/* Nothing is told before the end; which may be that of one aborted by another initiator. */
static int vhost_scsi_queue_answer(struct se_cmd *se_cmd)
{
	vhost_scsi_lio_end_task_attr(se_cmd);
	return 0;
}

/* Or that of one that has failed, and holds its LUN for the last time. */
static int vhost_scsi_queue_status(struct se_cmd *se_cmd)
{
	vhost_scsi_explain(to_vhost_scsi_req(se_cmd));
	return vhost_scsi_queue_answer(se_cmd);
}

static void vhost_scsi_aborted_task(struct se_cmd *se_cmd)
{
	vhost_scsi_lio_end_task_attr(se_cmd);
	if (!(se_cmd->se_cmd_flags & SCF_SCSI_TMR_CDB))
		to_vhost_scsi_req(se_cmd)->aborted = true;
}

/* It is over; somebody who aborts it may still have a look. */
static int vhost_scsi_check_stop_free(struct se_cmd *se_cmd)
{
	return target_put_sess_cmd(se_cmd);
}

static void vhost_scsi_release_cmd(struct se_cmd *se_cmd)
{
	if (se_cmd->se_cmd_flags & SCF_SCSI_TMR_CDB)
		vhost_scsi_reset_released(se_cmd);
	else if (to_vhost_scsi_req(se_cmd)->way != VHOST_SCSI_UNCHARGING)
		vstor_cmd_done(&to_vhost_scsi_req(se_cmd)->cmd);
}

const struct target_core_fabric_ops vhost_scsi_fabric_ops = {
	.module			= THIS_MODULE,
	.fabric_name		= "vhost",
	.tpg_get_wwn		= vhost_scsi_tpg_get_wwn,
	.tpg_get_tag		= vhost_scsi_tpg_get_tag,
	.tpg_check_demo_mode	= vhost_scsi_true,
	.tpg_check_demo_mode_cache = vhost_scsi_true,
	.tpg_check_prot_fabric_only = vhost_scsi_prot_type,
	.write_pending		= vhost_scsi_write_pending,
	.queue_data_in		= vhost_scsi_queue_answer,
	.queue_status		= vhost_scsi_queue_status,
	.queue_tm_rsp		= vhost_scsi_reset_answered,
	.aborted_task		= vhost_scsi_aborted_task,
	.check_stop_free	= vhost_scsi_check_stop_free,
	.release_cmd		= vhost_scsi_release_cmd,
	.fabric_make_wwn	= vhost_scsi_make_wwn,
	.fabric_drop_wwn	= vhost_scsi_drop_wwn,
	.fabric_make_tpg	= vhost_scsi_make_tpg,
	.fabric_drop_tpg	= vhost_scsi_drop_tpg,
	.fabric_post_link	= vhost_scsi_post_link,
	.fabric_pre_unlink	= vhost_scsi_pre_unlink,
	.tfc_wwn_attrs		= vhost_scsi_wwn_attrs,
	.tfc_tpg_base_attrs	= vhost_scsi_tpg_attrs,
	.tfc_tpg_attrib_attrs	= vhost_scsi_tpg_attrib_attrs,
	/* What VPD page b0 says of a backstore that has no limit of its own. */
	.max_data_sg_nents	= VHOST_SCSI_BYTES_MAX / PAGE_SIZE,
	/* In the queue's worker: at its cost, and under its plug. */
	.default_submit_type	= TARGET_DIRECT_SUBMIT,
	.direct_submit_supp	= 1,
};
