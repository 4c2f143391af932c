/*
 * settings.h
 *		flake's settings, and whether this process has the server's values.
 */
#ifndef FLAKE_SETTINGS_H
#define FLAKE_SETTINGS_H

#include "server/error.h"

/* Names of the settings */
#define FLAKE_NODE_ID			"flake.node_id"
#define FLAKE_MAX_CLOCK_LEAD	"flake.max_clock_lead"
#define FLAKE_MAX_CLOCK_JUMP	"flake.max_clock_jump"
#define FLAKE_REGISTRY			"flake.registry"
#define FLAKE_REGISTRY_2		"flake.registry_2"
#define FLAKE_LEASE_TIME		"flake.lease_time"

/* The number of registries that can be set */
#define FLAKE_REGISTRIES		2

extern char *flake_setting_node_id;
extern int	flake_setting_max_clock_lead;
extern int	flake_setting_max_clock_jump;
extern char *flake_setting_registry[FLAKE_REGISTRIES];
extern int	flake_setting_lease_time;

extern void flake_settings_before_load(void);
extern void flake_settings_after_load(void);
extern const FlakeError *flake_settings_error(void);
extern const char *flake_registry_problem(const char *conninfo);
extern const char *flake_registry_name(int registry);
extern void flake_check_settings(void);

#endif							/* FLAKE_SETTINGS_H */
