/*
 * Agreement: the gate log's rules R1-R5 (SPEC 7.1) with liars, crashes, lost disks and a change of
 * voters. README.md says which code each inline stands for and what is left out.
 *
 * Sizes (-D): N voters, Q votes, LIARS of them, CRASHES and LOSSES of a disk in all, RECONFIG.
 * Broken on purpose (-D): NO_R1, BAD_R3, BAD_R4, NO_MEMORY, OLD_VOTES, NO_STOP.
 */
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef LOSSES
#define LOSSES 0
#endif

#define HONEST (N - LIARS)
#define VIEWS 2
#define BLOCKS 6

/* One voter goes and one comes: honest places 0..HONEST-1 vote first, then places 1..HONEST. */
#ifdef RECONFIG
#define EPOCHS 2
#define PLACES (HONEST + 1)
#define VOTES_IN(i, e) ((e) == 0 && (i) < HONEST || (e) == 1 && (i) > 0)
#else
#define EPOCHS 1
#define PLACES HONEST
#define VOTES_IN(i, e) true
#endif

/* A change of voters is kept small: VIEWS0 views before it, and no rival in view 1 after it. */
#ifndef VIEWS0
#define VIEWS0 VIEWS
#endif
#define VIEWS_IN(e) ((e) == 0 -> VIEWS0 : VIEWS)
#define RIVALS_IN(e) ((e) == 0 -> 2 : 1)

/* Blocks 1 and 2 are rivals in view 1; in view 2 block 3 stands on genesis, 4 on 1 and 5 on 2. */
#define VIEW_OF(b) ((b) == 0 -> 0 : ((b) <= 2 -> 1 : 2))
#define PARENT_OF(b) ((b) <= 3 -> 0 : (b) - 3)
#define ON_ONE_CHAIN(b, c) ((b) == (c) || PARENT_OF(b) == (c) || PARENT_OF(c) == (b))

/* Whatever honest voters sent, a bit for each: it can be taken at any time, or never. */
byte notarized[EPOCHS * BLOCKS];
byte finaled[EPOCHS * BLOCKS];
byte skipped[EPOCHS * 3];

byte crashes = 0;
byte losses = 0;

#define ONES(x) (((x) & 1) + (((x) >> 1) & 1) + (((x) >> 2) & 1) + (((x) >> 3) & 1) + (((x) >> 4) & 1))
/* Liars have cast every vote. */
#define ENOUGH(x) (ONES(x) + LIARS >= Q)

#define NOTARIZED(e, b) ((b) == 0 || ENOUGH(notarized[(e) * BLOCKS + (b)]))
#define FINAL(e, b) ENOUGH(finaled[(e) * BLOCKS + (b)])
#ifdef OLD_VOTES
#define SKIPPED(e, v) ENOUGH(skipped[(e) * 3 + (v)] | skipped[v])
#else
#define SKIPPED(e, v) ENOUGH(skipped[(e) * 3 + (v)])
#endif

/* R1: the parent is notarized, and every view in between is skipped. */
#ifdef NO_R1
#define STANDS(e, b) NOTARIZED(e, PARENT_OF(b))
#else
#define STANDS(e, b) (NOTARIZED(e, PARENT_OF(b)) && ((b) != 3 || SKIPPED(e, 1)))
#endif

/* S1, seen from outside: two blocks that are or can be committed, and are not on one chain. */
inline judge(e) {
  other = 1;
  do
  :: other < BLOCKS ->
    if
    :: FINAL(e, other) && !ON_ONE_CHAIN(other, block) -> assert(false)
    :: else
    fi;
    other++
  :: else -> break
  od;
#ifdef RECONFIG
#ifdef NO_STOP
  /* Block 4 carries a command: it is in the log of those that commit it, and in nobody else's. */
  if
  :: e == 1 && FINAL(0, 4) -> assert(false)
  :: e == 0 && block == 4 && (FINAL(1, 1) || FINAL(1, 2) || FINAL(1, 3)) -> assert(false)
  :: else
  fi;
#endif
#endif
  other = 0
}

/* Never final after skip. */
#ifdef BAD_R4
#define MAY_FINAL(v) (!final[v])
#else
#define MAY_FINAL(v) (!final[v] && !gave[v])
#endif

inline choose(from, to) {
  block = from;
  do
  :: block < to -> block++
  :: break
  od
}

active [PLACES] proctype Voter() {
  byte epoch = 0;
  byte view = 1;
  byte floor = 0;
  byte mine[3];    /* own notarize votes: the block, by view */
  bool gave[3];    /* own skip votes */
  bool final[3];   /* own final votes */
  byte block = 0;
  byte other = 0;

end:
  do
  /* R2: one notarize vote in the view, for a block on which R1 holds. */
  :: atomic {
      VOTES_IN(_pid, epoch) && view <= VIEWS_IN(epoch) && mine[view] == 0 && view > floor ->
      if
      :: view == 1 -> choose(1, RIVALS_IN(epoch))
      :: view == 2 -> choose(3, 5)
      fi;
      if
      :: STANDS(epoch, block) ->
        mine[view] = block;
        notarized[epoch * BLOCKS + block] = notarized[epoch * BLOCKS + block] | (1 << _pid)
      :: else
      fi;
      block = 0
    }

  /* R3: the timer fires. */
  :: atomic {
      VOTES_IN(_pid, epoch) && view <= VIEWS_IN(epoch) && !gave[view] && !final[view] && view > floor ->
      gave[view] = true;
      skipped[epoch * 3 + view] = skipped[epoch * 3 + view] | (1 << _pid)
    }
#ifdef BAD_R3
  :: atomic {
      VOTES_IN(_pid, epoch) && view > 1 && !gave[1] ->
      gave[1] = true;
      skipped[epoch * 3 + 1] = skipped[epoch * 3 + 1] | (1 << _pid)
    }
#endif

  /* R4: a skip certificate ends the view. */
  :: atomic { VOTES_IN(_pid, epoch) && view <= VIEWS_IN(epoch) && SKIPPED(epoch, view) -> view++ }

  /* R4: a notarize certificate ends its view, and draws a final vote, also a late one. */
  :: atomic {
      VOTES_IN(_pid, epoch) ->
      choose(1, BLOCKS - 1);
      if
      :: NOTARIZED(epoch, block) && VIEW_OF(block) >= view -> view = VIEW_OF(block) + 1
      :: else
      fi;
      if
      :: NOTARIZED(epoch, block) && VOTES_IN(_pid, epoch) && VIEW_OF(block) > floor &&
         MAY_FINAL(VIEW_OF(block)) ->
        final[VIEW_OF(block)] = true;
        finaled[epoch * BLOCKS + block] = finaled[epoch * BLOCKS + block] | (1 << _pid);
        if
        :: FINAL(epoch, block) -> judge(epoch)
        :: else
        fi
      :: else
      fi;
      block = 0
    }

#ifdef RECONFIG
  /* R5 on the stop sign (block 1 changes the voters, block 4 on it is empty): the new epoch begins at view 1 with the reconfig block as its genesis. */
  :: atomic {
      epoch == 0 && VOTES_IN(_pid, 1) && (FINAL(0, 1) || FINAL(0, 4)) ->
      epoch = 1;
      view = 1;
      floor = 0;
      mine[1] = 0; mine[2] = 0;
      gave[1] = false; gave[2] = false;
      final[1] = false; final[2] = false
    }
#endif

#if CRASHES > 0
  /* A crash that keeps the disk: the view is what the journaled votes and certificates give. */
  :: atomic {
      crashes < CRASHES && view > 1 ->
      crashes++;
      if
      :: final[2] -> view = 3
      :: !final[2] && (mine[2] > 0 || gave[2] || final[1]) -> view = 2
      :: !final[2] && !(mine[2] > 0 || gave[2] || final[1]) -> view = 1
      fi
    }
#endif

#if LOSSES > 0
  /* The disk of voter 0 is lost, no voter being special; the others hold every vote that was sent, and say up to which view. */
  :: atomic {
      losses < LOSSES && _pid == 0 ->
      losses++;
#ifndef NO_MEMORY
      floor = 0;
      block = 1;
      do
      :: block < BLOCKS ->
        if
        :: ((notarized[epoch * BLOCKS + block] | finaled[epoch * BLOCKS + block]) >> _pid) & 1 &&
           VIEW_OF(block) > floor -> floor = VIEW_OF(block)
        :: else
        fi;
        block++
      :: else -> break
      od;
      block = 1;
      do
      :: block <= VIEWS ->
        if
        :: (skipped[epoch * 3 + block] >> _pid) & 1 && block > floor -> floor = block
        :: else
        fi;
        block++
      :: else -> break
      od;
#endif
      block = 0;
      view = 1;
      mine[1] = 0; mine[2] = 0;
      gave[1] = false; gave[2] = false;
      final[1] = false; final[2] = false
    }
#endif
  od
}

