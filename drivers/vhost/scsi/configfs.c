// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/config/target/vhost: a folder for each name, in it one for each target,
 * with its nexus, which is the initiator that the target core sees, and its LUNs.
 */
#include <linux/slab.h>
#include <linux/utsname.h>
#include "vhost_scsi.h"

/* What the in-tree module says that it is, for who looks at it. */
#define VHOST_SCSI_VERSION	"v0.1"

static const struct vhost_scsi_prefix {
	const char *prefix;
	u8 protocol;
	/* It is no part of the name. */
	bool cut;
} vhost_scsi_prefixes[] = {
	{ "naa.", SCSI_PROTOCOL_SAS },
	{ "fc.", SCSI_PROTOCOL_FCP, true },
	{ "iqn.", SCSI_PROTOCOL_ISCSI },
};

/* Returns the name as it is used, or NULL where it is of no sort that we know. */
static const char *vhost_scsi_parse_name(const char *name, u8 *protocol)
{
	const struct vhost_scsi_prefix *p = vhost_scsi_prefixes;
	unsigned int i;

	if (strlen(name) >= TRANSPORT_IQN_LEN)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(vhost_scsi_prefixes); i++, p++) {
		if (!strstarts(name, p->prefix))
			continue;
		*protocol = p->protocol;
		return p->cut ? name + strlen(p->prefix) : name;
	}
	return NULL;
}

static ssize_t vhost_scsi_wwn_version_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "TCM_VHOST fabric module %s on %s/%s on %s\n", VHOST_SCSI_VERSION,
			  utsname()->sysname, utsname()->machine, utsname()->release);
}

CONFIGFS_ATTR_RO(vhost_scsi_wwn_, version);

struct configfs_attribute *vhost_scsi_wwn_attrs[] = {
	&vhost_scsi_wwn_attr_version,
	NULL,
};

struct se_wwn *vhost_scsi_make_wwn(struct target_fabric_configfs *fabric,
				   struct config_group *group, const char *name)
{
	struct vhost_scsi_tport *tport;
	const char *used;
	u8 protocol;

	used = vhost_scsi_parse_name(name, &protocol);
	if (!used)
		return ERR_PTR(-EINVAL);
	tport = kzalloc(sizeof(*tport), GFP_KERNEL);
	if (!tport)
		return ERR_PTR(-ENOMEM);
	tport->protocol = protocol;
	strscpy(tport->name, used, sizeof(tport->name));
	return &tport->wwn;
}

void vhost_scsi_drop_wwn(struct se_wwn *wwn)
{
	kfree(container_of(wwn, struct vhost_scsi_tport, wwn));
}

/* The nexus: what the target core takes the guest for. */

static ssize_t vhost_scsi_tpg_nexus_show(struct config_item *item, char *page)
{
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(to_tpg(item));
	ssize_t r = -ENODEV;

	mutex_lock(&tpg->lock);
	if (tpg->session)
		r = sysfs_emit(page, "%s\n", tpg->session->se_node_acl->initiatorname);
	mutex_unlock(&tpg->lock);
	return r;
}

static int vhost_scsi_make_nexus(struct vhost_scsi_tpg *tpg, const char *name)
{
	struct se_session *session;
	int r = -EEXIST;

	mutex_lock(&tpg->lock);
	if (!tpg->session) {
		session = target_setup_session(&tpg->tpg, 0, 0,
					       TARGET_PROT_DIN_PASS | TARGET_PROT_DOUT_PASS,
					       name, NULL, NULL);
		r = PTR_ERR_OR_ZERO(session);
		if (!r)
			tpg->session = session;
	}
	mutex_unlock(&tpg->lock);
	return r;
}

/* tpg->lock held. */
static void vhost_scsi_end_session(struct vhost_scsi_tpg *tpg)
{
	struct se_session *session = tpg->session;

	tpg->session = NULL;
	/* The target core may be about to let go of what commands had of it. */
	target_stop_session(session);
	target_wait_for_sess_cmds(session);
	target_remove_session(session);
}

static int vhost_scsi_drop_nexus(struct vhost_scsi_tpg *tpg)
{
	int r = 0;

	mutex_lock(&tpg->lock);
	if (!tpg->session)
		r = -ENODEV;
	else if (tpg->ports || tpg->user)
		r = -EBUSY;
	else
		vhost_scsi_end_session(tpg);
	mutex_unlock(&tpg->lock);
	return r;
}

static ssize_t vhost_scsi_tpg_nexus_store(struct config_item *item, const char *page,
					  size_t count)
{
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(to_tpg(item));
	char text[TRANSPORT_IQN_LEN];
	const char *name;
	u8 protocol;
	int r;

	if (strscpy(text, page, sizeof(text)) < 0)
		return -EINVAL;
	if (strstarts(text, "NULL")) {
		r = vhost_scsi_drop_nexus(tpg);
		return r ? r : count;
	}
	name = vhost_scsi_parse_name(strim(text), &protocol);
	/* It must be of the target's sort. */
	if (!name || protocol != tpg->tport->protocol)
		return -EINVAL;
	r = vhost_scsi_make_nexus(tpg, name);
	return r ? r : count;
}

CONFIGFS_ATTR(vhost_scsi_tpg_, nexus);

struct configfs_attribute *vhost_scsi_tpg_attrs[] = {
	&vhost_scsi_tpg_attr_nexus,
	NULL,
};

static ssize_t vhost_scsi_tpg_attrib_fabric_prot_type_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%d\n", to_vhost_scsi_tpg(attrib_to_tpg(item))->prot_type);
}

/* From the next SET_ENDPOINT on. */
static ssize_t vhost_scsi_tpg_attrib_fabric_prot_type_store(struct config_item *item,
							    const char *page, size_t count)
{
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(attrib_to_tpg(item));
	unsigned long type;
	int r = kstrtoul(page, 0, &type);

	if (r)
		return r;
	if (type != TARGET_DIF_TYPE0_PROT && type != TARGET_DIF_TYPE1_PROT &&
	    type != TARGET_DIF_TYPE3_PROT)
		return -EINVAL;
	mutex_lock(&tpg->lock);
	tpg->prot_type = type;
	mutex_unlock(&tpg->lock);
	return count;
}

CONFIGFS_ATTR(vhost_scsi_tpg_attrib_, fabric_prot_type);

static ssize_t vhost_scsi_tpg_attrib_direct_rw_show(struct config_item *item, char *page)
{
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(attrib_to_tpg(item));

	return sysfs_emit(page, "%d\n", READ_ONCE(tpg->direct_rw));
}

/* At once, for the commands that come from now on. */
static ssize_t vhost_scsi_tpg_attrib_direct_rw_store(struct config_item *item,
						     const char *page, size_t count)
{
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(attrib_to_tpg(item));
	bool on;
	int r = kstrtobool(page, &on);

	if (r)
		return r;
	WRITE_ONCE(tpg->direct_rw, on);
	return count;
}

CONFIGFS_ATTR(vhost_scsi_tpg_attrib_, direct_rw);

struct configfs_attribute *vhost_scsi_tpg_attrib_attrs[] = {
	&vhost_scsi_tpg_attrib_attr_fabric_prot_type,
	&vhost_scsi_tpg_attrib_attr_direct_rw,
	NULL,
};

struct se_portal_group *vhost_scsi_make_tpg(struct se_wwn *wwn, const char *name)
{
	struct vhost_scsi_tport *tport = container_of(wwn, struct vhost_scsi_tport, wwn);
	struct vhost_scsi_tpg *tpg;
	u16 tag;
	int r;

	if (!strstarts(name, "tpgt_") || kstrtou16(name + strlen("tpgt_"), 10, &tag) ||
	    tag >= VHOST_SCSI_TARGETS)
		return ERR_PTR(-EINVAL);
	tpg = kzalloc(sizeof(*tpg), GFP_KERNEL);
	if (!tpg)
		return ERR_PTR(-ENOMEM);
	kref_init(&tpg->refs);
	mutex_init(&tpg->lock);
	tpg->tport = tport;
	tpg->tag = tag;
	tpg->block_mask = SECTOR_SIZE - 1;
	tpg->direct_rw = true;
	r = core_tpg_register(wwn, &tpg->tpg, tport->protocol);
	if (r) {
		kfree(tpg);
		return ERR_PTR(r);
	}
	mutex_lock(&vhost_scsi_tpgs_lock);
	list_add_tail(&tpg->node, &vhost_scsi_tpgs);
	mutex_unlock(&vhost_scsi_tpgs_lock);
	return &tpg->tpg;
}

/* Nobody uses it: see endpoint.c. */
void vhost_scsi_drop_tpg(struct se_portal_group *se_tpg)
{
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(se_tpg);

	mutex_lock(&vhost_scsi_tpgs_lock);
	list_del(&tpg->node);
	mutex_unlock(&vhost_scsi_tpgs_lock);
	mutex_lock(&tpg->lock);
	if (tpg->session)
		vhost_scsi_end_session(tpg);
	mutex_unlock(&tpg->lock);
	core_tpg_deregister(se_tpg);
	vhost_scsi_tpg_put(tpg);
}

/* A LUN is there. Its block size is fixed from now on. */
int vhost_scsi_post_link(struct se_portal_group *se_tpg, struct se_lun *lun)
{
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(se_tpg);
	u32 block = rcu_dereference_raw(lun->lun_se_dev)->dev_attrib.block_size;

	mutex_lock(&tpg->lock);
	tpg->ports++;
	WRITE_ONCE(tpg->block_mask, tpg->block_mask | (block - 1));
	if (lun->unpacked_lun < VHOST_SCSI_LUNS) {
		vhost_scsi_direct_add(tpg, lun);
		assign_bit(lun->unpacked_lun, tpg->read_only, lun->lun_access_ro);
		set_bit(lun->unpacked_lun, tpg->luns);
	}
	if (tpg->user)
		vhost_scsi_lun_event(tpg->user, tpg, lun->unpacked_lun,
				     VIRTIO_SCSI_EVT_RESET_RESCAN);
	mutex_unlock(&tpg->lock);
	return 0;
}

/* A LUN is about to go. */
void vhost_scsi_pre_unlink(struct se_portal_group *se_tpg, struct se_lun *lun)
{
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(se_tpg);

	mutex_lock(&tpg->lock);
	tpg->ports--;
	if (lun->unpacked_lun < VHOST_SCSI_LUNS)
		clear_bit(lun->unpacked_lun, tpg->luns);
	vhost_scsi_direct_remove(tpg, lun);
	if (tpg->user)
		vhost_scsi_lun_event(tpg->user, tpg, lun->unpacked_lun,
				     VIRTIO_SCSI_EVT_RESET_REMOVED);
	mutex_unlock(&tpg->lock);
}
