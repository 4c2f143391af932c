/*
 * compat.h
 *		Differences between the major versions of PostgreSQL, 15 to 19.
 *
 * Only this file checks versions.  Each wrapper does the same on all of them.
 */
#ifndef FLAKE_COMPAT_H
#define FLAKE_COMPAT_H

#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/rel.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM >= 160000
#include "catalog/pg_proc.h"
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#endif

#if PG_VERSION_NUM < 150000
#error "flake needs PostgreSQL 15 or later"
#endif

/*
 * Report an error in an input function: softly if the caller asks for that, which
 * 16 introduced; then return "result".
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#define FLAKE_SOFT_ERROR(escontext, result, ...) \
	ereturn(escontext, result, __VA_ARGS__)
#else
#define FLAKE_SOFT_ERROR(escontext, result, ...) \
	do { \
		(void) (escontext); \
		ereport(ERROR, __VA_ARGS__); \
	} while (0)
#endif

/* 18 introduced the name and version of a module. */
#ifdef PG_MODULE_MAGIC_EXT
#define FLAKE_MODULE_MAGIC(n, v)	PG_MODULE_MAGIC_EXT(.name = n, .version = v)
#else
#define FLAKE_MODULE_MAGIC(n, v)	PG_MODULE_MAGIC
#endif

/*
 * Lets a setting get the value from the configuration file even during a parallel
 * operation.  Minor releases before November 2024 do not have the flag.
 */
#ifdef GUC_ALLOW_IN_PARALLEL
#define FLAKE_ALLOW_IN_PARALLEL	GUC_ALLOW_IN_PARALLEL
#else
#define FLAKE_ALLOW_IN_PARALLEL	0
#endif

/*
 * Call a walker for the children of a node of an expression.  Before 16 the
 * declared type of the walker is "()", which has no arguments in C23.
 */
static inline bool
flake_walk_expression(Node *node, bool (*walker) (Node *node, void *context),
					  void *context)
{
#if PG_VERSION_NUM >= 160000
	return expression_tree_walker(node, walker, context);
#else
	return expression_tree_walker(node, (bool (*) ()) (void (*) (void)) walker,
								  context);
#endif
}

/* Look up a setting by name; NULL if there is none. */
static inline struct config_generic *
flake_find_setting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, 0);
#else
	struct config_generic **settings = get_guc_variables();
	int			nsettings = GetNumConfigOptions();

	for (int i = 0; i < nsettings; i++)
	{
		if (pg_strcasecmp(settings[i]->name, name) == 0)
			return settings[i];
	}
	return NULL;
#endif
}

/* May the current user execute this function? */
static inline bool
flake_may_execute(Oid function)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, GetUserId(),
						   ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/* The number of this process among the server's processes, from 0. */
static inline uint32
flake_process_number(void)
{
#if PG_VERSION_NUM >= 170000
	return (uint32) MyProcNumber;
#else
	return (uint32) MyProc->pgprocno;
#endif
}

/* Create a tranche of lightweight locks, and register its name. */
static inline int
flake_new_tranche(const char *name)
{
#if PG_VERSION_NUM >= 190000
	return LWLockNewTrancheId(name);
#else
	int			tranche = LWLockNewTrancheId();

	LWLockRegisterTranche(tranche, name);
	return tranche;
#endif
}

/* Register the name of a tranche that another process has created. */
static inline void
flake_name_tranche(int tranche, const char *name)
{
#if PG_VERSION_NUM >= 190000
	(void) tranche;
	(void) name;
#else
	LWLockRegisterTranche(tranche, name);
#endif
}

/* A wait event with this name; before 17 all extensions share one. */
static inline uint32
flake_wait_event(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	(void) name;
	return PG_WAIT_EXTENSION;
#endif
}

/* Identifies a relation's file within its database. */
static inline uint32
flake_relation_file(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	return rel->rd_locator.relNumber;
#else
	return rel->rd_node.relNode;
#endif
}

#if PG_VERSION_NUM >= 160000
typedef RelFileLocator FlakeFileLocator;
#define FlakeRelationLocator(rel)	((rel)->rd_locator)
#else
typedef RelFileNode FlakeFileLocator;
#define FlakeRelationLocator(rel)	((rel)->rd_node)
#endif

/*
 * Find shared memory by name; on first use it is created and "init" is called.
 *
 * 17 introduced a registry for that.  Before, the memory comes from the spare
 * bytes of the server's shared memory.
 */
#if PG_VERSION_NUM >= 190000
static void
flake_call_init(void *memory, void *init)
{
	((void (*) (void *)) init) (memory);
}
#endif

static inline void *
flake_named_memory(const char *name, Size size, void (*init) (void *memory))
{
	bool		found;

#if PG_VERSION_NUM >= 190000
	return GetNamedDSMSegment(name, size, flake_call_init, &found,
							  (void *) init);
#elif PG_VERSION_NUM >= 170000
	return GetNamedDSMSegment(name, size, init, &found);
#else
	void	   *memory;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	memory = ShmemInitStruct(name, size, &found);
	if (!found)
		init(memory);
	LWLockRelease(AddinShmemInitLock);
	return memory;
#endif
}

#endif							/* FLAKE_COMPAT_H */
