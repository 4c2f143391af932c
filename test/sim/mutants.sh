# shellcheck shell=bash
# The code under test, broken on purpose: test/sim/run makes each of these changes to a
# copy, and some property must fail.  To be sourced.
#
# mutant NAME FILE CONFIG SCRIPT: a sed script; it must change the file.  CONFIG chooses the
# configurations that are run, by a part of their names; '' is all of them.

# shellcheck disable=SC2016 # sed scripts
mutants()
{
    mutant 'compare-and-swap is a load and a store' refill.c 'right clock' \
        '/^move_word(/,/^}/ { /if (pg_atomic_compare_exchange_u64(&shared->word, &word,$/ { N; s/.*/if ((pg_atomic_write_u64(\&shared->word, next + count - 1), true))/ } }'
    mutant 'a word is moved by one too few' refill.c 'right clock' \
        '/^move_word(/,/^}/ s/next + count - 1))$/next + Max(count - 1, 1) - (count > 1 ? 1 : 0)))/'
    mutant 'words are taken past the end of their tick' refill.c 'right clock' \
        's/count = Min(most, last_word - next + 1);/count = Min(most, last_word - next + 2);/'
    mutant 'the last number is given out again' refill.c 'right clock' \
        's/Max(word + 1, first_word)/Max(word, first_word)/'
    mutant 'slot words are process-local' refill.c 'right clock' \
        's/^\tsession->slots = slots;/\tsession->slots = memcpy(aligned_alloc(64, 4096), slots, offsetof(FlakeSlots, slot) + sizeof(FlakeSlot) * (1 << slots->geometry.slot_bits));/; 1i #include <stdlib.h>'
    mutant 'starts again at slot 0 in the same tick' refill.c '' \
        '/^take_in_floor(/,/^}/ s/uint32\t\tslot = session->slot;/uint32\t\tslot = 0;/'
    mutant 'starts again at the home slot in the same tick' refill.c '' \
        '/^take_in_floor(/,/^}/ s/uint32\t\tslot = session->slot;/uint32\t\tslot = session->home;/'
    mutant 'the tick after a change of the node id is not waited for' refill.c 'node id' \
        's/refill.floor < session->min_tick/false/'
    mutant 'without slot bits more than one number is taken' refill.c 'no slot bits' \
        's/single ? refill->least : most/most/'
    mutant 'without slot bits the next number is taken by a store' refill.c 'no slot bits' \
        '/^take_one_more(/,/^}/ s/if (pg_atomic_compare_exchange_u64(&shared->word, &word, word + 1))/if ((pg_atomic_write_u64(\&shared->word, word + 1), true))/'
    mutant 'without slot bits a tick that is past goes on' refill.c 'no slot bits' \
        '/^take_one_more(/,/^}/ s/!look_at_clock(session))/false)/'
    mutant 'without slot bits a tick goes on past its end' refill.c 'no slot bits' \
        '/^take_one_more(/,/^}/ s/(word & mask) != mask)/true)/'
    mutant 'without slot bits a borrowed tick goes on' refill.c 'waits' \
        's/session->last_tick == refill->floor ?$/true ?/'
    mutant 'without slot bits replaced slots go on' refill.c 'given up' \
        '/^take_one_more(/,/^}/ s/if (flake_generation() != session->generation)/if (false)/'
    mutant 'without slot bits a tick is never checked again' refill.c 'cycle counter goes wrong' \
        '/^take_one_more(/,/^}/ s/if (session->may_follow == 0)/if (false)/'
    mutant 'a forgotten range goes on' refill.h 'node id' \
        's/^\tsession->may_follow = 0;//'
    mutant 'a word is moved before the checks' refill.c '' \
        's/^\t\tswitch (check_tick(session, &refill, refill.floor))/\t\t(void) move_word(session, session->home, refill.floor, 1, 1);\n&/'
    mutant 'the tick is raised before the checks' refill.c 'restarts' \
        's/^\t\tswitch (check_tick(session, &refill, refill.floor))/\t\traise_tick(session->slots, refill.floor);\n&/'
    mutant 'the lead is not checked' refill.c 'clock is set' \
        's/if (lead > allowed)/if (false)/'
    mutant 'the last tick is not checked' refill.c 'ends' \
        '/^check_tick(/,/^}/ s/if (\(.*\)tick_start(layout, tick,/if (false \&\& \1tick_start(layout, tick,/; /^check_tick(/,/^}/ s/if (tick > flake_layout_max_tick(layout)/if (false/'
    mutant 'the borrowed tick is not checked' refill.c '' \
        's/switch (check_tick(session, refill, refill->floor + 1))/switch (TICK_FREE)/'
    mutant 'the mark is not asked' refill.c 'restarts' \
        's/return flake_mark_covers(tick_us) ?/return true ?/'
    mutant 'the mark is asked about the tick before' refill.c 'restarts' \
        's/flake_mark_covers(tick_us)/flake_mark_covers(tick_us - layout->tick_us)/'
    mutant 'ids begin in the tick of the start mark' refill.c 'restarts' \
        's/Max(refill->floor, tick + 1)/Max(refill->floor, tick)/'
    mutant 'the lead is not checked on the common path' refill.c 'clock is set' \
        's/(uint64) now.wall_us - (uint64) session->usable_from_us >=/now.wall_us - session->usable_from_us >= (int64)/'
    mutant 'the tick is not checked on the common path' refill.h 'right clock' \
        's/return flake_session_look(session);/return session->next_id < session->end_id;/'
    mutant 'the counter is trusted for twice the tick' counter.c 'cycle counter' \
        's/^#define SPAN_PART.*/#define SPAN_PART 2.0/'
    mutant 'the counter is trusted beyond the tick' refill.c 'cycle counter' \
        's/flake_counter_span(Min(rest_us, (uint64) session->layout->tick_us))/flake_counter_span(session->layout->tick_us)/'
    mutant 'the counter is trusted for ever' refill.c 'cycle counter goes wrong' \
        's/FLAKE_COUNTER_MAX_IDS \* session->step/1000 * session->step/'
    mutant 'the tick is not raised' refill.c '' \
        's/^\t\traise_tick(session->slots, refill.floor);//'
    mutant 'the next tick is not waited for' refill.c '' \
        's/while (waited < tick_us)/while (false)/'
    mutant 'the wall clock is waited for, however long' refill.c 'waits' \
        's/while (waited < tick_us)/while (true)/; s/Min(rest, tick_us - waited)/rest/'
    mutant 'the tick is moved on by a store' refill.c '' \
        '/^wait_for_next_tick(/,/^}/ s/(void) pg_atomic_compare_exchange_u64(&slots->tick, &tick,/pg_atomic_write_u64(\&slots->tick,/'
    mutant 'no number of the next tick is borrowed' refill.c 'waits' \
        's/if (result == USED_UP && session->last_tick < refill.floor &&/if (false \&\&/'
    mutant 'slots are replaced though their ids are not refused' refill.c 'at any time' \
        '/^flake_slots_refused(/,/^}/ s/return layout_tick_us(slots) - now_us >/return true || now_us >/'
    mutant 'new slots begin without the clock' refill.c 'given up' \
        '/^flake_slots_renew(/,/^}/ s/if (now_us > geometry->epoch_us)/if (false)/'
    mutant 'the generation is not looked at' refill.c 'given up' \
        's/if (flake_generation() != session->generation)/if (false)/'
    mutant 'the first rate is trusted unconfirmed' counter.c 'cycle counter goes wrong' \
        's/agrees = fabs(/agrees = rate == 0 || fabs(/'
    mutant 'the gap of a pair is not looked at' counter.c 'cycle counter' \
        's/if (gap + pair_gap > counted \/ PAIR_PART)/if (false)/'
}
