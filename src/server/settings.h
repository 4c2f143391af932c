/*
 * settings.h
 *		flake's settings, defined in flake.c.
 */
#ifndef FLAKE_SETTINGS_H
#define FLAKE_SETTINGS_H

extern char *flake_setting_node_id;		/* flake.node_id, as it is written */
extern int	flake_setting_max_clock_lead;	/* flake.max_clock_lead, milliseconds */
extern int	flake_setting_max_clock_jump;	/* flake.max_clock_jump, seconds; 0: off */

extern void flake_check_settings(void);

#endif							/* FLAKE_SETTINGS_H */
