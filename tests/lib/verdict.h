/* SPDX-License-Identifier: GPL-2.0 */
/* What the models say of a device: NULL where it is right, or a sentence. */
#ifndef TESTS_VERDICT_H
#define TESTS_VERDICT_H

/* The sentence. It lasts until the next one but one is made. */
const char *wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
