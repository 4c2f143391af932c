/*
 * defaults.h
 *		Layouts in the defaults of columns.
 */
#ifndef FLAKE_DEFAULTS_H
#define FLAKE_DEFAULTS_H

#include "nodes/primnodes.h"

extern Const *flake_find_layout(Node *expression);
extern bool flake_layout_is_default(const char *name);

#endif							/* FLAKE_DEFAULTS_H */
