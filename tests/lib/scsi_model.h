/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a driver may see of virtio-scsi request queues (VIRTIO 5.6.6.1), as far as it
 * follows from the commands: of plain reads and writes of a disk the response, residual,
 * used length and data, or that it was not their turn (a unit attention, a task
 * management function, a reservation, a busy target); of everything else that it is
 * answered, once, and what it may have done to the disk.
 */
#ifndef TESTS_SCSI_MODEL_H
#define TESTS_SCSI_MODEL_H

#include "transfer_model.h"

#define SCSI_MODEL_QUEUES 4

struct scsi_model {
	struct memory_model memory;
	/* The beginning of the disk that is behind this LUN; all of it has so many sectors. */
	struct disk_model disk;
	uint8_t lun;
	uint64_t capacity;
	/* In any order; of those that are no request queues only the ring is judged. */
	struct ring_model ring[SCSI_MODEL_QUEUES];
	bool requests[SCSI_MODEL_QUEUES];
	unsigned int out;
	/* Commands whose answer was known, and those that were GOOD. */
	unsigned long known, good;
};

/* Before the driver sets a queue's available index; what it is to be. */
void scsi_model_publish(struct scsi_model *m, unsigned int queue, uint16_t avail_idx);
/* Judges what has been used of a queue. Returns what is wrong. */
const char *scsi_model_collect(struct scsi_model *m, unsigned int queue);
/* The device is stopped, and the ring begins anew. What is out will not come. */
void scsi_model_reset(struct scsi_model *m, unsigned int queue);

#endif
