/*
 * Liveness (L1): once faults stop, a valid request is committed. One dead voter, leaders that take
 * turns, timers that fire at will until the network is calm.
 *
 * Sizes (-D): N voters, Q votes, DEAD of them (the first places), CALM_BY the view in which calm comes
 * at the latest. Broken on purpose (-D): Q too large, DEAD too many, NO_TIMER, NO_ADVANCE.
 */
#define ALIVE (N - DEAD)
/* After calm: what is left of one view, the dead leaders' views, and one view that works. */
#define VIEWS (CALM_BY + DEAD + 1)
#define LEADS(v) (((v) + FIRST) % N)
#define DEAD_LEADS(v) (LEADS(v) < DEAD)

/* The block of view v, if there is one, stands on the newest notarized block below. */
bool proposed[VIEWS + 2];
byte notarized[VIEWS + 2];
byte finaled[VIEWS + 2];
byte skipped[VIEWS + 2];
byte newest = 1;
bool calm = false;
bool committed = false;

#define NOTARIZED(v) (notarized[v] >= Q)
#define SKIPPED(v) (skipped[v] >= Q)

active [ALIVE] proctype Voter() {
  byte view = 1;
  bool mine[VIEWS + 2];
  bool gave[VIEWS + 2];
  bool final[VIEWS + 2];
  byte at = 0;

end:
  do
  /* R1: the leader's block; this voter entered the view by certificates, so R1 holds. */
  :: atomic {
      view <= VIEWS && LEADS(view) == _pid + DEAD && !proposed[view] -> proposed[view] = true
    }

  /* R2 */
  :: atomic {
      view <= VIEWS && proposed[view] && !mine[view] ->
      mine[view] = true;
      notarized[view]++
    }

  /* R3: at will while the network is not calm; then only where nobody leads. */
#ifndef NO_TIMER
  :: atomic {
      view <= VIEWS && !gave[view] && !final[view] &&
      (!calm && view <= CALM_BY || calm && DEAD_LEADS(view)) ->
      gave[view] = true;
      skipped[view]++
    }
#endif

  /* R4 */
  :: atomic { view <= VIEWS && SKIPPED(view) -> view++; newest = (view > newest -> view : newest) }
#ifndef NO_ADVANCE
  :: atomic {
      view <= VIEWS && NOTARIZED(view) ->
      if
      :: !gave[view] && !final[view] ->
        final[view] = true;
        finaled[view]++;
        /* R5: with its ancestors, so the request on the chain is decided. */
        committed = committed || finaled[view] >= Q
      :: else
      fi;
      view++;
      newest = (view > newest -> view : newest)
    }
#endif
  od
}

/* Calm comes while nobody is beyond CALM_BY. */
active proctype Weather() {
  atomic { newest <= CALM_BY -> calm = true }
}

/* L1, with every process that can act acting at last (weak fairness). */
ltl decided { [] (calm -> <> committed) }
/* The property is not true of nothing: calm does come. */
ltl calms { [] !calm }
