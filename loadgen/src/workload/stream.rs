//! The steps of one worker.
//!
//! A worker's thread. Always: workers share nothing, so that no two of them make the same object or delete the same one;
//! what is being deleted is not asked for; a step allocates nothing, but when the table of known objects grows.

use super::keys::{Choice, Keys};
use super::known::Known;
use super::mix::Mix;
use super::random::Numbers;
use super::sizes::Sizes;
use super::{Key, Object, Step, Verb};
use crate::driver::Reply;

/// Draws that may hit what is not there before the next that is there is taken.
const DRAWS_MAX: u32 = 32;

/// What all workers do together.
#[derive(Debug, Clone)]
pub struct WorkloadPlan {
    /// Of contents, sizes and choices.
    pub seed: u64,
    /// Kinds of request.
    pub mix: Mix,
    /// Sizes of new objects.
    pub sizes: Sizes,
    /// Which known objects are asked for.
    pub keys: Keys,
    /// Bytes of a range; smaller objects are read whole.
    pub range_bytes: u64,
    /// Objects that are made before the mix begins, by all workers.
    pub preload: u64,
    /// Number of the first new object: after those of this seed that are known from earlier runs.
    pub first_number: u64,
}

/// Which worker, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u32,
    /// At least 1.
    pub count: u32,
}

impl Share {
    /// How many of `whole` are this worker's; all shares together are the whole.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        let (index, count) = (u64::from(self.index), u64::from(self.count));
        whole / count + u64::from(index < whole % count)
    }
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This request.
    Step(Step),
    /// What comes next depends on answers that are outstanding: the last objects are being made before the mix begins.
    Wait,
    /// Each object was asked for once.
    Exhausted,
    /// No object is known that could be asked for, and none is made.
    Empty,
}

/// What an answer is, by what is known of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it; the content is to be checked by whoever has it.
    Right,
    /// The object is not there, and was being deleted meanwhile: right too.
    Raced,
    /// The object is not there, and should be.
    Wrong,
}

/// The steps of one worker.
#[derive(Debug)]
pub struct Workload {
    plan: WorkloadPlan,
    share: Share,
    numbers: Numbers,
    choice: Choice,
    known: Known,
    /// Objects that this worker began to make.
    made: u64,
    preload: Preload,
}

/// Objects to make before the mix begins.
#[derive(Debug)]
struct Preload {
    unsent: u64,
    unanswered: u64,
}

impl Workload {
    /// The steps of one share of a plan; `known` are objects that are there already, and no other worker's.
    #[must_use]
    pub fn new(plan: &WorkloadPlan, share: Share, known: &[Object]) -> Self {
        assert!(share.index < share.count, "worker {} of {}", share.index, share.count);
        let mut table = Known::default();
        known.iter().for_each(|object| table.push(object));
        Self {
            numbers: Numbers::of(plan.seed, u64::from(share.index)),
            choice: Choice::new(plan.keys, plan.seed ^ u64::from(share.index)),
            known: table,
            made: 0,
            preload: Preload { unsent: share.of(plan.preload), unanswered: 0 },
            plan: plan.clone(),
            share,
        }
    }

    /// What comes next.
    #[allow(clippy::should_implement_trait, reason = "it says why there is none")]
    pub fn next(&mut self) -> Next {
        if !self.is_preloaded() {
            return self.next_preloaded();
        }
        if !self.choice.is_once() {
            self.known.sweep();
        }
        let verb = self.plan.mix.draw(&mut self.numbers);
        if verb.makes() {
            return Next::Step(self.make(verb));
        }
        match self.choose(verb) {
            Some((place, object)) => Next::Step(self.ask(verb, place, object)),
            // The first objects of a mix that makes its own.
            None if self.known.len() == 0 && self.plan.mix.has(self.plan.mix.maker()) => {
                Next::Step(self.make(self.plan.mix.maker()))
            }
            None if self.known.len() > 0 && self.choice.is_once() => Next::Exhausted,
            None => Next::Empty,
        }
    }

    /// A request has ended.
    pub fn done(&mut self, step: &Step, reply: Reply) -> Verdict {
        if !self.is_preloaded() {
            self.preload.answered(matches!(reply, Reply::Ok { .. }));
        }
        match (step.verb, reply) {
            (Verb::Put | Verb::Create, Reply::Ok { id }) => self.known.push(&Object { id, ..step.object }),
            (Verb::Put | Verb::Create | Verb::Delete, Reply::Missing) => return Verdict::Wrong,
            (Verb::Delete, Reply::Busy | Reply::Refused(_)) => self.known.bring_back(step.place, &step.object),
            (_, Reply::Missing) if self.known.holds(step.place, step.object.key) => return Verdict::Wrong,
            (_, Reply::Missing) => return Verdict::Raced,
            (_, Reply::Ok { .. } | Reply::Busy | Reply::Refused(_)) => {}
        }
        Verdict::Right
    }

    /// A request was lost with its connection: nobody knows whether it was done. What it would have made is not known,
    /// what it would have deleted is not asked for any more.
    pub fn lost(&mut self, step: &Step) {
        if !self.is_preloaded() {
            debug_assert!(step.verb.makes(), "nothing else is sent before the mix begins");
            self.preload.answered(false);
        }
    }

    /// Whether all objects have been made that should be there before the mix begins.
    #[must_use]
    pub fn is_preloaded(&self) -> bool {
        self.preload.unsent == 0 && self.preload.unanswered == 0
    }

    /// Objects that are known and not being deleted.
    #[must_use]
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Those objects.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        (0..self.known.places()).filter_map(|place| self.known.at(place))
    }

    /// The request that the mix names first: what is said of requests that are never chosen is said of it.
    #[must_use]
    pub fn main_verb(&self) -> Verb {
        self.plan.mix.verbs().next().unwrap_or_else(|| self.plan.mix.maker())
    }

    fn next_preloaded(&mut self) -> Next {
        if self.preload.unsent == 0 {
            return Next::Wait;
        }
        self.preload.unsent -= 1;
        self.preload.unanswered += 1;
        Next::Step(self.make(self.plan.mix.maker()))
    }

    fn make(&mut self, verb: Verb) -> Step {
        let number = self.plan.first_number + u64::from(self.share.index) + u64::from(self.share.count) * self.made;
        self.made += 1;
        let key = Key { seed: self.plan.seed, number };
        let bytes = if verb == Verb::Create { 0 } else { self.plan.sizes.of(key) };
        Step { verb, object: Object { key, bytes, id: None }, range: None, place: u32::MAX }
    }

    fn choose(&mut self, verb: Verb) -> Option<(u32, Object)> {
        let places = self.known.places();
        let mut place = 0;
        for tried in 0.. {
            // In order, each place comes by only once, so that the draws have an end.
            if tried == DRAWS_MAX && !self.choice.is_once() {
                break;
            }
            place = u32::try_from(self.choice.draw(u64::from(places), &mut self.numbers)?).expect("below their count");
            if let Some(object) = self.at(place, verb) {
                return Some((place, object));
            }
        }
        (0..place).rev().chain(place..places).find_map(|place| Some((place, self.at(place, verb)?)))
    }

    /// The object at a place, if it can be asked for so.
    fn at(&self, place: u32, verb: Verb) -> Option<Object> {
        // Nothing has no part.
        self.known.at(place).filter(|object| verb != Verb::Range || object.bytes > 0)
    }

    fn ask(&mut self, verb: Verb, place: u32, object: Object) -> Step {
        if verb == Verb::Delete {
            self.known.take(place);
        }
        let range = (verb == Verb::Range).then(|| {
            let bytes = self.plan.range_bytes.clamp(1, object.bytes);
            (self.numbers.below(object.bytes - bytes + 1), bytes)
        });
        Step { verb, object, range, place }
    }
}

impl Preload {
    fn answered(&mut self, is_made: bool) {
        self.unanswered -= 1;
        // Another one in its stead.
        self.unsent += u64::from(!is_made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashSet, VecDeque};

    const OK: Reply = Reply::Ok { id: None };
    const ALONE: Share = Share { index: 0, count: 1 };

    fn plan(mix: &str, keys: &str, preload: u64) -> WorkloadPlan {
        WorkloadPlan {
            seed: 7,
            mix: mix.parse().unwrap(),
            sizes: "1..100".parse().unwrap(),
            keys: keys.parse().unwrap(),
            range_bytes: 10,
            preload,
            first_number: 0,
        }
    }

    fn step(workload: &mut Workload) -> Step {
        match workload.next() {
            Next::Step(step) => step,
            other => panic!("{other:?}"),
        }
    }

    /// A workload whose objects are there.
    fn preloaded(plan: &WorkloadPlan, share: Share) -> Workload {
        let mut workload = Workload::new(plan, share, &[]);
        while !workload.is_preloaded() {
            let step = step(&mut workload);
            assert_eq!(workload.done(&step, OK), Verdict::Right);
        }
        workload
    }

    /// Steps whose answers come in order, eight of them outstanding.
    fn steps(workload: &mut Workload, count: usize) -> Vec<Step> {
        let (mut steps, mut under_way) = (Vec::new(), VecDeque::new());
        while steps.len() < count {
            if under_way.len() == 8 {
                workload.done(&under_way.pop_front().unwrap(), OK);
            }
            let step = step(workload);
            under_way.push_back(step);
            steps.push(step);
        }
        steps
    }

    #[test]
    fn the_same_plan_gives_the_same_steps() {
        for keys in ["uniform", "zipf", "latest"] {
            let plan = plan("get=60,put=20,delete=10,range=5,head=5", keys, 50);
            let of = |plan: &WorkloadPlan, index| steps(&mut preloaded(plan, Share { index, count: 2 }), 5000);
            assert_eq!(of(&plan, 0), of(&plan, 0));
            assert_ne!(of(&plan, 0), of(&plan, 1));
            assert_ne!(of(&plan, 0), of(&WorkloadPlan { seed: 8, ..plan.clone() }, 0));
        }
    }

    #[test]
    fn steps_ask_for_what_is_there() {
        for keys in ["uniform", "zipf", "latest:3"] {
            // More is deleted than made, so that the table is swept again and again, and runs empty at the end.
            let plan = plan("get=50,put=10,delete=30,range=10", keys, 2000);
            let mut workload = preloaded(&plan, ALONE);
            let mut live: HashSet<u64> = (0..2000).collect();
            for _ in 0..20_000 {
                let step = step(&mut workload);
                let number = step.object.key.number;
                match step.verb {
                    Verb::Put => assert!(live.insert(number), "{keys}: made twice"),
                    Verb::Delete => assert!(live.remove(&number), "{keys}: deleted twice"),
                    _ => assert!(live.contains(&number), "{keys}: not there"),
                }
                assert_eq!(step.object.bytes, plan.sizes.of(step.object.key));
                if let Some((start, bytes)) = step.range {
                    assert!(bytes == step.object.bytes.min(10) && start + bytes <= step.object.bytes);
                }
                assert_eq!(workload.done(&step, OK), Verdict::Right);
                assert_eq!(workload.known(), live.len());
            }
        }
    }

    #[test]
    fn workers_make_different_objects_and_the_whole_together() {
        let plan = WorkloadPlan { first_number: 100, ..plan("put", "uniform", 10) };
        let mut numbers: Vec<u64> = (0..3)
            .flat_map(|index| {
                let mut workload = Workload::new(&plan, Share { index, count: 3 }, &[]);
                let made = std::iter::from_fn(move || match workload.next() {
                    Next::Step(step) => Some(step.object.key.number),
                    _ => None,
                });
                made.collect::<Vec<_>>()
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (100..110).collect::<Vec<_>>());
    }

    #[test]
    fn what_could_not_be_made_is_made_again() {
        let mut workload = Workload::new(&plan("get", "uniform", 3), ALONE, &[]);
        let made = [step(&mut workload), step(&mut workload), step(&mut workload)];
        assert_eq!(workload.next(), Next::Wait);
        workload.done(&made[0], OK);
        workload.done(&made[1], Reply::Busy);
        workload.lost(&made[2]);
        let again = [step(&mut workload), step(&mut workload)];
        assert_eq!(workload.next(), Next::Wait);
        assert_eq!(again.map(|step| (step.verb, step.object.key.number)), [(Verb::Put, 3), (Verb::Put, 4)]);
        again.iter().for_each(|step| assert_eq!(workload.done(step, OK), Verdict::Right));
        assert!(workload.is_preloaded());
        assert_eq!((step(&mut workload).verb, workload.known()), (Verb::Get, 3));
    }

    #[test]
    fn a_store_may_name_objects() {
        let id = "3-1f-00c0ffee00c0ffee".parse().unwrap();
        let mut workload = Workload::new(&plan("get", "uniform", 1), ALONE, &[]);
        let put = step(&mut workload);
        workload.done(&put, Reply::Ok { id: Some(id) });
        assert_eq!(step(&mut workload).object, Object { id: Some(id), ..put.object });
    }

    #[test]
    fn once_ends_and_an_empty_table_does() {
        let known: Vec<Object> =
            (0..100).map(|number| Object { key: Key { seed: 1, number }, bytes: 5, id: None }).collect();
        let mut workload = Workload::new(&plan("get", "once", 0), ALONE, &known);
        let asked: HashSet<u64> = (0..100).map(|_| step(&mut workload).object.key.number).collect();
        assert_eq!(asked.len(), 100);
        assert_eq!(workload.next(), Next::Exhausted);

        assert_eq!(Workload::new(&plan("get", "once", 0), ALONE, &[]).next(), Next::Empty);
        let mut workload = Workload::new(&plan("delete", "zipf", 0), ALONE, &known);
        (0..100).for_each(|_| assert_eq!(step(&mut workload).verb, Verb::Delete));
        assert_eq!(workload.next(), Next::Empty);

        let empty = [Object { bytes: 0, ..known[0] }];
        assert_eq!(Workload::new(&plan("range", "zipf", 0), ALONE, &empty).next(), Next::Empty);
        let mut makes = Workload::new(&plan("get=1000,put=1", "zipf", 0), ALONE, &[]);
        assert_eq!(step(&mut makes).verb, Verb::Put);
        let mut names = Workload::new(&plan("lookup", "zipf", 1), ALONE, &[]);
        assert_eq!((step(&mut names).verb, names.next()), (Verb::Create, Next::Wait));
    }

    /// The next step of a verb; deletes before it are refused.
    fn next_of(verb: Verb, workload: &mut Workload) -> Step {
        loop {
            let step = step(workload);
            if step.verb == verb {
                return step;
            }
            assert_eq!(workload.done(&step, Reply::Refused("FULL")), Verdict::Right);
        }
    }

    #[test]
    fn a_missing_object_is_wrong_unless_it_was_being_deleted() {
        let known = [Object { key: Key { seed: 1, number: 1 }, bytes: 5, id: None }];
        let mut workload = Workload::new(&plan("get=1,delete=1", "uniform", 0), ALONE, &known);
        let get = next_of(Verb::Get, &mut workload);
        assert_eq!(workload.done(&get, Reply::Missing), Verdict::Wrong);
        let delete = next_of(Verb::Delete, &mut workload);
        assert_eq!((workload.known(), workload.next()), (0, Next::Empty));
        assert_eq!(workload.done(&get, Reply::Missing), Verdict::Raced);
        assert_eq!(workload.done(&get, OK), Verdict::Right);
        assert_eq!(workload.done(&delete, Reply::Busy), Verdict::Right);
        assert_eq!((workload.known(), workload.done(&get, Reply::Missing)), (1, Verdict::Wrong));
        assert_eq!(workload.done(&delete, Reply::Missing), Verdict::Wrong);
    }
}
