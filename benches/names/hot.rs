//! What a hot lookup takes where a processor makes it: no socket, no frame, one thread.

use larder::base::clock::{Moment, SystemClock};
use larder::base::completion::Completion;
use larder::base::ids::{ContentHash, Origin};
use larder::base::path::NamePath;
use larder::disk::MemoryDisk;
use larder::master::{Checked, Command, Master, MasterEnd, MasterSettings, Question};
use larder::request::{Attributes, Condition, Lookup, NameAnswer};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

const NAMES: u64 = 10_000;

pub fn measure(lookups: u64) {
    let clock = SystemClock::shared();
    let disk = Arc::new(MemoryDisk::new());
    let master = Master::open(disk, 1, MasterSettings::default(), &clock, &Arc::default()).unwrap();
    let end = |begin: &dyn Fn(Completion<MasterEnd>)| {
        let (tell, ended) = channel();
        begin(Completion::new(move |end| tell.send(end).unwrap()));
        ended.recv().unwrap().unwrap()
    };
    let NameAnswer::Session(session) = end(&|done| master.submit(Command::OpenSession, Moment::NEVER, done)) else {
        panic!("no session")
    };
    let lookups_of: Vec<Lookup> = (0..NAMES)
        .map(|number| {
            let path =
                NamePath::parse(format!("/shop/d{:05}/picture-{number:08}.jpg", number % 100).as_bytes()).unwrap();
            let change = Checked::Commit {
                path: path.clone(),
                condition: Condition::Any,
                parents: true,
                modified_ms: None,
                attributes: Attributes::of(&[(Attributes::CONTENT_TYPE, b"image/jpeg")]).unwrap(),
                size: 0,
                hash: ContentHash(7),
                chunks: Vec::new(),
            };
            let id = Origin { session: session.session, number: number + 1 };
            end(&|done| master.submit(Command::Change { id, change: change.clone() }, Moment::NEVER, done));
            let lookup = Lookup { path, chunk_first: 0, chunks_max: 16 };
            end(&|done| master.ask(Question::Lookup(lookup.clone()), Moment::NEVER, done));
            lookup
        })
        .collect();
    for (what, names) in [("of 10,000 names", NAMES), ("of one name", 1)] {
        let mut found = 0;
        let began = Instant::now();
        for number in 0..lookups {
            let place = usize::try_from(number.wrapping_mul(7919) % names).unwrap();
            found += u64::from(master.hot(lookups_of.get(place).unwrap()).is_some());
        }
        let took = began.elapsed();
        assert!(found == lookups, "all were hot: {found} of {lookups}");
        println!("hot lookups {what}, three names deep: {:.0} ns each", took.as_nanos() as f64 / lookups as f64);
    }
    master.close();
}
