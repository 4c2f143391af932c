# shellcheck shell=bash
# The code under test, broken on purpose: test/sim/run makes each of these changes to a copy
# of the sources, and a check must fail.  To be sourced.
#
# mutant NAME FILE WHERE SCRIPT: SCRIPT is for sed and must change FILE, which is in src/core, or
# test/sim/world.c or registry.c.  WHERE is "random: TEXT" or "search: TEXT": the configurations or
# small worlds that must fail are those whose names contain TEXT.

# shellcheck disable=SC2016 # sed scripts
mutants()
{
    # --- taking numbers
    mutant 'compare-and-swap is a load and a store' lanes.c 'search: two sessions' \
        '/^take_from(/,/^}/ { /if (pg_atomic_compare_exchange_u64(&place->word, &word,$/ { N; s/.*/if ((pg_atomic_write_u64(\&place->word, next + count - 1), true))/ } }'
    mutant 'a word is moved by one too few' lanes.c 'random: right clock' \
        '/^take_from(/,/^}/ s/next + count - 1))$/next + Max(count - 1, 1) - (count > 1 ? 1 : 0)))/'
    mutant 'words are taken past the end of their tick' lanes.c 'random: right clock' \
        's/count = Min(wanted(session, tick, need, least), last_word - next + 1);/count = Min(wanted(session, tick, need, least), last_word - next + 2);/'
    mutant 'the last number is given out again' lanes.c 'random: right clock' \
        's/Max(word + 1, first_word)/Max(word, first_word)/'
    mutant 'slot words are process-local' session.c 'random: right clock' \
        's/^\tsession->slots = slots;/\tsession->slots = memcpy(aligned_alloc(64, 4096), slots, flake_slots_size(session->layout));/; 1i #include <stdlib.h>'
    mutant 'starts again at slot 0 in the same tick' lanes.c 'search: one session' \
        's/first ? 0 : session->slot, tick/0, tick/'
    mutant 'starts again at the home slot in the same tick' lanes.c 'search: one session' \
        's/first ? 0 : session->slot, tick/first ? 0 : session->home, tick/'
    mutant 'looks below its lane in the same tick' lanes.c 'random: right clock' \
        's/return first \&\& take_upward(session, 0/return take_upward(session, 0/'
    mutant 'keeps to its lane whatever room is below' lanes.c 'random: waits' \
        's/^\tsession->low_until = tick_after(session, tick);//'
    mutant 'borrows while there is room below its lane' lanes.c 'random: right clock' \
        's/return first \&\& take_upward(session, 0/return false \&\& take_upward(session, 0/'
    mutant 'without slot bits more than one number is taken' lanes.c 'search: no slots' \
        '/^wanted(/,/^}/ s/if (session->nslots == 1)/if (false)/'
    mutant 'the next number is taken by a store' lanes.c 'random: no slot bits' \
        's/if (pg_atomic_compare_exchange_u64(&place->word, &word, word + 1))/if ((pg_atomic_write_u64(\&place->word, word + 1), true))/'
    mutant 'the next number is taken in slot 0' lanes.c 'random: right clock' \
        '/^flake_lanes_take_next(/,/^}/ s/slot\[session->slot\]/slot[0]/'
    mutant 'numbers go on past the end of the tick' lanes.c 'random: no slot bits' \
        's/(word & mask) != mask/true/'
    mutant 'numbers go on in a tick that is past' session.c 'random: no slot bits' \
        's/!look_at_clock(session, false))/false)/'
    mutant 'the tick is never checked again' session.c 'random: cycle counter goes wrong' \
        's/if (session->may_follow == 0)/if (false)/'
    mutant 'the range does not count among the numbers that may follow' refill.c 'random: cycle counter' \
        's/^\t\t\t\t\t\t\t\t  flake_session_left(session), 0);/\t\t\t\t\t\t\t\t  1, 0);/'
    mutant 'a borrowed tick goes on' refill.c 'random: waits' \
        's/^\tif (!ahead)$/\tif (true)/'

    # --- the node id
    mutant 'the tick after a change of the node id is not waited for' session.c 'search: node id' \
        's/session->min_tick = session->last_tick + 1;//'
    mutant 'the slots of the old node id go on' session.c 'search: node id changes and' \
        's/^\tsession->slots = slots;/\tif (session->slots == NULL)\n\t\tsession->slots = slots;/'
    mutant 'a node id that comes back has new slots' world.c 'random: node id' \
        's/^\tserver->nsets++;/\tset = server->nsets == MAX_SETS ? \&sets[1] : \&sets[server->nsets++];/; s/if (set->shared.slots.node == node)/if (false)/'
    mutant 'order is kept however far ahead it is' refill.c 'search: node id changes, the clock' \
        's/if (lead_of(layout, refill, session->min_tick) <= refill->lead_us)/if (true)/'
    mutant 'a forgotten range goes on' session.h 'random: node id' \
        's/session->ready_id = session->end_id = session->next_id;//; s/^\tsession->may_follow = 0;//'

    # --- checks and waits
    mutant 'a word is moved before the checks' refill.c 'search: one session' \
        's/^\tswitch (check_tick(session, refill, refill->floor, &answer))/\t(void) flake_lanes_take_ahead(session, refill->floor, 1);\n&/'
    mutant 'the tick is raised before the checks' refill.c 'search: others set' \
        's/^\tswitch (check_tick(session, refill, refill->floor, &answer))/\traise_tick(session->slots, refill->floor);\n&/'
    mutant 'the lead is not checked' refill.c 'search: one session' \
        's/if (lead > refill->lead_us)/if (false)/'
    mutant 'the last tick is not checked' refill.c 'random: ends' \
        's/if (tick > flake_layout_max_tick(layout) ||/if (/'
    mutant 'the borrowed tick is not checked' refill.c 'search: crash' \
        's/switch (check_tick(session, refill, refill->floor + 1, &answer))/switch (TICK_FREE)/'
    mutant 'ids begin in the tick of the start mark' refill.c 'search: crash' \
        's/refill->floor = tick + 1;/refill->floor = tick;/'
    mutant 'the tick is not raised' refill.c 'random:' \
        's/^\traise_tick(session->slots, refill->floor);//'
    mutant 'the next tick is not waited for' refill.c 'search: three sessions' \
        's/if (waited < tick_us)/if (false)/'
    mutant 'the wall clock is waited for, however long' refill.c 'random: waits' \
        's/if (waited < tick_us)/if (true)/; s/Min(rest, tick_us - waited)/rest/'
    mutant 'the tick is moved on by a store' refill.c 'random:' \
        '/^go_on_waiting(/,/^}/ s/(void) pg_atomic_compare_exchange_u64(&slots->tick, &tick,/pg_atomic_write_u64(\&slots->tick,/'
    mutant 'no number of the next tick is borrowed' refill.c 'random: waits' \
        's/if (session->last_tick == refill->floor ||$/if (true ||/'

    # --- the common path
    mutant 'the lead is not checked on the common path' session.c 'random: clock is set' \
        's/if ((uint64) now.wall_us - (uint64) session->usable_from_us >=/if (now.wall_us - session->usable_from_us >= (int64)/'
    mutant 'the tick is not checked on the common path' session.h 'search: one session' \
        's/return flake_session_look(session);/return session->next_id < session->end_id;/'
    mutant 'the start mark is not looked at on the common path' session.c 'random: others set the mark' \
        's/if (flake_session_start_us(session) >= tick_us)/if (false)/'
    mutant 'the counter is trusted for twice the tick' counter.c 'random: cycle counter' \
        's/^#define SPAN_PART.*/#define SPAN_PART 2.0/'
    mutant 'the counter is trusted beyond the tick' session.c 'random: cycle counter' \
        's/flake_counter_span(Min(rest_us, (uint64) session->layout->tick_us))/flake_counter_span(session->layout->tick_us)/'
    mutant 'the counter is trusted for ever' session.c 'random: cycle counter goes wrong' \
        's/FLAKE_COUNTER_MAX_IDS \* session->step/1000 * session->step/'
    mutant 'the first rate is trusted unconfirmed' counter.c 'random: cycle counter goes wrong' \
        's/agrees = fabs(/agrees = rate == 0 || fabs(/'
    mutant 'the gap of a pair is not looked at' counter.c 'random: cycle counter' \
        's/if (gap + pair_gap > counted \/ PAIR_PART)/if (false)/'

    # --- the mark
    mutant 'the mark is not asked' refill.c 'search: crash' \
        's/switch (flake_mark_covers(session->mark, refill->relation, need))/switch (FLAKE_COVERED)/'
    mutant 'the mark is asked about the tick before' refill.c 'search: crash' \
        's/need->until_us = refill->now.wall_us + lead;/need->until_us = refill->now.wall_us + lead - layout->tick_us;/'
    mutant 'the mark is asked before the relation is' mark.c 'search: relations' \
        's/if (pg_atomic_read_u64(&mark->relation) != relation)/if (false)/'
    mutant 'a start forgets the mark' mark.c 'search: crash' \
        's/plan.start_us = plan.as_we_left_it ? start_us : Max(start_us, plan.page_us);/plan.start_us = start_us;/'
    mutant 'the start mark is not raised by what others set' mark.c 'search: others set' \
        's/plan.start_us = plan.as_we_left_it ? start_us :/plan.start_us = !plan.first ? start_us :/'
    mutant 'the mark is lowered' mark.c 'random: slow disk' \
        's/new_us = Max(new_us, target(mark, need));/new_us = target(mark, need) - FLAKE_MARK_AHEAD_US \/ 2;/'
    mutant 'what others set back stays' mark.c 'search: others set' \
        's/if (plan.as_we_left_it \&\& new_us == plan.page_us)/if (true)/'
    mutant 'the page is known before its start mark' mark.c 'search: others set' \
        '/^flake_mark_prepare(/,/^}/ { s/flake_time_write(&mark->start_us, plan->start_us);/flake_time_write(\&mark->page_ns, plan->write_ns);/; t; s/flake_time_write(&mark->page_ns, plan->write_ns);/flake_time_write(\&mark->start_us, plan->start_us);/ }'
    mutant 'a mark too far ahead is taken over' mark.c 'search: others set' \
        's/plan.verdict = FLAKE_MARK_TOO_FAR;/plan.verdict = FLAKE_MARK_KEEP;/'
    mutant 'a clock that jumped moves the mark' mark.c 'random: jumps' \
        's/if (found->max_jump_us != 0 \&\& /if (false \&\& /'
    mutant 'the mark is moved ahead of the time asked for' mark.c 'random: quick starts' \
        's/us = Max(need->wall_us + FLAKE_MARK_AHEAD_US,/us = Max(need->until_us + FLAKE_MARK_AHEAD_US,/'
    mutant 'the mark is moved without the clock' mark.c 'random: flushes' \
        's/us = Max(need->wall_us + FLAKE_MARK_AHEAD_US,/us = Max(need->until_us,/'
    mutant 'the mark is moved by the clock alone' mark.c 'random: flushes' \
        's/need->until_us + flake_time_read(&mark->ahead_us));/need->until_us);/'
    mutant 'a slow disk moves the mark without limit' mark.c 'random: slow disk' \
        's/us = Max(Min(us, limit), need->until_us);/us = Max(us, need->until_us);/'
    mutant 'a request that was overtaken asks for no more' refill.c 'random: slow disk' \
        's/need->overtaken = refill->moves_asked++ >= 2;/need->overtaken = false;/'
    mutant 'what was on the page before stays ours' mark.c 'search: early moves, others' \
        '/^flake_mark_written(/,/^}/ s/if (plan->as_we_left_it)/if (false)/; /^flake_mark_publish_pending(/,/^}/ { s/^{/&\n\tflake_time_write(\&mark->page_ns, flake_time_read(\&mark->next_ns));/ }'
    mutant 'the mark is not moved early' mark.c 'random: flushes, ids' \
        's/if (likely(left_us >= FLAKE_MARK_EARLY_US))/if (true)/'

    # --- the lease
    mutant 'the end of the lease is not looked at' lease.h 'search: lease' \
        's/ \&\& tick_us < flake_lease_until_us(lease);/;/'
    mutant 'a tick that begins at the end of the lease counts' lease.h 'search: lease' \
        's/tick_us < flake_lease_until_us(lease)/tick_us <= flake_lease_until_us(lease)/'
    mutant 'a lease begins before it was granted' lease.c 'random: leases' \
        's/lease->from_us = from_us;/lease->from_us = from_us - FLAKE_US_PER_SECOND;/'
    mutant 'ids begin in the tick that holds the beginning of the lease' refill.c 'random: leases' \
        's/session->lease->from_us - 1,/session->lease->from_us - 1 - layout->tick_us,/'
    mutant 'the lease of a borrowed tick is not looked at' refill.c 'search: lease' \
        '/floor + 1, &answer/,/^\t\t}/ s/^\t\t\tcase TICK_NEEDS_LEASE:$/&\n\t\t\t\tbreak;/'
    mutant 'the lease is looked at before the mark only' refill.c 'search: release' \
        's/return check_lease(session, refill, answer) ? TICK_FREE : TICK_NEEDS_LEASE;/return TICK_FREE;/'
    mutant 'the lease is looked at after the mark only' refill.c 'random: leases' \
        's/if (!check_lease(session, refill, answer))/if (false)/'
    mutant 'a release does not lower the end' lease.c 'search: release' \
        's/Min(mark_us + 1, flake_lease_until_us(lease))/flake_lease_until_us(lease)/'
    mutant 'a release raises the end' lease.c 'random: leases' \
        's/Min(mark_us + 1, flake_lease_until_us(lease))/mark_us + 1/'
    mutant 'the time of the mark is given back' lease.c 'search: release' \
        's/Max(mark_us + 1, lease->from_us)/Max(mark_us, lease->from_us)/'
    mutant 'a renewal lowers the end' lease.c 'random: leases' \
        's/Max(until_us, flake_lease_until_us(lease)));/until_us);/'
    mutant 'what sessions want is not asked for' lease.c 'random: leases' \
        's/return Max(now_us, wanted_us) + length_us;/return now_us + length_us;/'
    mutant 'another node id keeps the old lease' session.c 'search: lease' \
        's/^\tsession->lease = lease;/\tif (session->lease == NULL)\n\t\tsession->lease = lease;/'
    mutant 'the start mark binds where there is a lease' refill.c 'search: lease' \
        's/^\tif (session->lease != NULL)$/\tif (session->lease != NULL \&\& flake_mark_start_us(session->mark) == FLAKE_NO_TIME)/'
    mutant 'the start mark does not bind where there is no lease' refill.c 'random: leases, node' \
        's/begin_after(layout, refill, flake_mark_start_us(session->mark),/begin_after(layout, refill, FLAKE_NO_TIME,/'
    mutant 'a mark too far ahead is refused where there is a lease' mark.c 'random: leases, node' \
        's/(!need->leased \&\& plan.page_us/(plan.page_us/'

    # --- what the server does around it
    mutant 'a server goes on with the lease of its life before' world.c 'random: leases' \
        's/^\tserver->lease = NULL;//; s/^\tif (world.nleasable > 0)$/\tif (world.nleasable > 0 \&\& server->lease == NULL)/'
    mutant 'the registry grants the same again' registry.c 'random: leases' \
        's/^\t\tfrom_us = Max(from_us, other->granted_us);//'
    mutant 'a release goes by marks read before it lowered the end' registry.c 'search: release' \
        '/could be sent/,/^}/ s/^\tmark_us = latest_mark(server);//'
    mutant 'a lease is renewed after its release was sent' registry.c 'random: leases' \
        's/^\tserver->released = true;//'
    mutant 'the mark is not flushed' world.c 'search: crash' \
        's/^\tflush(database->in_flight);//'
    mutant 'the mark is published before it is flushed' world.c 'search: crash' \
        's/^\tsleep_us(world.flush_us);/\tflake_mark_publish(\&database->mark, plan);\n&/'
    mutant 'what is pending counts as flushed' world.c 'search: early moves, crash' \
        's/ && pending <= wal_end(world.nflushed)//'
    mutant 'an early move counts as flushed' world.c 'search: early moves, crash' \
        '/if (!plan->flush)/ { n; s/false/true/ }'
    mutant 'what is pending is published while another moves the mark' world.c 'random: slow disk' \
        '/^publish_pending(/,/^}/ s/if (database->locked_by >= 0)/if (false)/'
    mutant 'what is pending is never published' world.c 'random: flushes, ids' \
        's/^\t\tpublish_pending(backend);//'
}
