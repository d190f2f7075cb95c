use super::*;
use crate::rounds::Pulse;
use ram_lease::majority_clock::Moment;

const TIMEOUT_MS: u64 = 1000;
/// The member of the test, in its first run.
const HERE: Run = Run { member: 7, run: 1 };

/// A leader that asks a member in rounds of 250 ms.
struct Rounds {
    silence: Silence,
    now_ms: u64,
    runs: BTreeSet<Run>,
}

impl Rounds {
    fn new() -> Rounds {
        let silence = Silence::new(Duration::from_millis(TIMEOUT_MS));
        Rounds { silence, now_ms: 0, runs: BTreeSet::from([HERE]) }
    }

    fn round_after(&mut self, ms: u64, answer: Option<u64>) -> Vec<Run> {
        self.now_ms += ms;
        let moment = Moment { low: self.now_ms, high: Some(self.now_ms), ..Moment::default() };
        self.at(&moment, answer)
    }

    fn at(&mut self, moment: &Moment, answer: Option<u64>) -> Vec<Run> {
        let pulses = answer.map(|run| (HERE.member, Pulse { run, ms: 1 }));
        self.silence.gone(moment, &self.runs, &pulses.into_iter().collect(), |member| member == 9)
    }

    /// Rounds without an answer until the member is gone; how many.
    fn until_gone(&mut self) -> usize {
        (1..100).find(|_| !self.round_after(250, None).is_empty()).unwrap()
    }
}

#[test]
fn who_does_not_answer_is_gone_when_the_timeout_is_over_since_the_first_round_without_an_answer() {
    let mut rounds = Rounds::new();
    assert_eq!(rounds.round_after(250, Some(1)), []);
    assert_eq!(rounds.until_gone(), 5, "the first round, and four of 250 ms");
}

#[test]
fn who_answers_once_in_between_has_the_whole_timeout_again() {
    let mut rounds = Rounds::new();
    for _ in 0..10 {
        (0..4).for_each(|_| assert_eq!(rounds.round_after(250, None), []));
        assert_eq!(rounds.round_after(250, Some(1)), []);
    }
}

#[test]
fn who_answers_with_another_run_is_gone_at_once() {
    let mut rounds = Rounds::new();
    assert_eq!(rounds.round_after(250, Some(2)), [HERE]);
    rounds.runs.insert(Run { member: 7, run: 2 });
    assert_eq!(rounds.round_after(250, Some(2)), [HERE], "and not the run that answers");
}

#[test]
fn who_was_removed_from_the_cluster_is_gone_at_once_whether_it_answers_or_not() {
    let mut rounds = Rounds::new();
    let removed = Run { member: 9, run: 1 };
    rounds.runs.insert(removed);
    assert_eq!(rounds.round_after(250, Some(1)), [removed]);
}

/// The scar of a leader that is suspended, wakes, and takes all others for dead.
#[test]
fn a_leader_that_did_not_ask_for_long_has_heard_no_silence() {
    let mut rounds = Rounds::new();
    assert_eq!(rounds.round_after(250, None), []);
    assert_eq!(rounds.round_after(20_000, None), []);
    assert_eq!(rounds.until_gone(), 4);
}

#[test]
fn silence_is_counted_from_the_beginning_when_the_clock_begins_anew() {
    let mut rounds = Rounds::new();
    (0..4).for_each(|_| assert_eq!(rounds.round_after(250, None), []));
    let anew = Moment { low: 1000, high: None, is_anew: true, is_settling: true };
    assert_eq!(rounds.at(&anew, None), []);
    assert_eq!(rounds.until_gone(), 5);
}

/// Too few answer for a clock: this leader cannot know how long it is.
#[test]
fn nobody_is_gone_by_silence_while_no_majority_tells_the_time() {
    let mut rounds = Rounds::new();
    for _ in 0..100 {
        assert_eq!(rounds.at(&Moment::default(), None), []);
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn note(&self, what: String) {
        self.0.lock().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Processes for Told {
    fn watch(&self, name: &[u8], ended: Ended) {
        self.note(format!("watch {}", name.escape_ascii()));
        if name == b"dead" {
            ended.tell();
        }
    }

    fn forget(&self, name: &[u8]) {
        self.note(format!("forget {}", name.escape_ascii()));
    }

    fn lost(&self, name: &[u8], key: &[u8], revision: u64) {
        let (name, key) = (name.escape_ascii(), key.escape_ascii());
        self.note(format!("lost {name} {key} {revision}"));
    }
}

mod local {
    use super::*;
    use ram_table::item::{Item, Meta};
    use ram_table::value::StoredValue;

    struct Here {
        owners: SharedOwners,
        observer: Box<dyn Observer>,
        told: Arc<Told>,
        revision: u64,
    }

    fn item(key: &[u8], run: Run, name: &[u8]) -> Item {
        let owner = Owner { member: run.member, run: run.run, name }.encode();
        Item::owned(key, StoredValue::plain(b"v"), &Meta::created(1), &owner)
    }

    impl Here {
        fn new() -> Here {
            let owners = SharedOwners::new(HERE, Arc::default());
            let told = Arc::new(Told::default());
            owners.host(told.clone());
            let observer = owners.observer();
            Here { owners, observer, told, revision: 0 }
        }

        fn change(&mut self, old: Option<&Item>, new: Option<&Item>, gone: Gone) -> Vec<String> {
            self.revision += 1;
            self.observer.changed(&Change { table: "", old, new, gone });
            self.observer.written(self.revision);
            self.told.take()
        }
    }

    #[test]
    fn a_process_of_this_run_is_watched_from_its_first_key_to_its_last() {
        let mut here = Here::new();
        let (one, two) = (item(b"1", HERE, b"p"), item(b"2", HERE, b"p"));
        assert_eq!(here.change(None, Some(&one), Gone::Deleted), ["watch p"]);
        assert_eq!(here.change(None, Some(&two), Gone::Deleted), [""; 0]);
        assert_eq!(here.change(Some(&one), None, Gone::Deleted), [""; 0]);
        assert_eq!(here.change(Some(&two), None, Gone::Deleted), ["forget p"]);
        for run in [Run { member: 7, run: 2 }, Run { member: 8, run: 1 }] {
            let other = item(b"1", run, b"p");
            assert_eq!(here.change(None, Some(&other), Gone::Deleted), [""; 0]);
        }
    }

    #[test]
    fn who_lives_and_loses_a_key_without_its_will_is_told() {
        let mut here = Here::new();
        let mine = item(b"1", HERE, b"p");
        here.change(None, Some(&mine), Gone::Deleted);
        let told = here.change(Some(&mine), None, Gone::OwnerDown);
        assert_eq!(told, ["forget p", "lost p 1 2"]);
        let former = item(b"1", Run { member: 7, run: 2 }, b"q");
        here.change(None, Some(&former), Gone::Deleted);
        assert_eq!(here.change(Some(&former), None, Gone::OwnerDown), ["lost q 1 4"]);
        let elsewhere = item(b"1", Run { member: 8, run: 1 }, b"q");
        here.change(None, Some(&elsewhere), Gone::Deleted);
        assert_eq!(here.change(Some(&elsewhere), None, Gone::OwnerDown), [""; 0]);
        here.change(None, Some(&mine), Gone::Deleted);
        assert_eq!(here.change(Some(&mine), None, Gone::Deleted), ["forget p"]);
    }

    #[test]
    fn who_has_ended_is_reported_until_its_keys_are_gone_and_told_nothing() {
        let mut here = Here::new();
        let dead = item(b"1", HERE, b"dead");
        here.change(None, Some(&dead), Gone::Deleted);
        let owner: Box<[u8]> = dead.owner().into();
        assert_eq!(here.owners.take_ended(), (vec![owner.clone()], true));
        assert_eq!(here.owners.take_ended(), (vec![], true), "once, until it is sent again");
        here.owners.send_again();
        assert_eq!(here.owners.take_ended(), (vec![owner], true));
        assert_eq!(here.change(Some(&dead), None, Gone::OwnerDown), ["forget dead"]);
        here.owners.send_again();
        assert_eq!(here.owners.take_ended(), (vec![], false));
    }

    /// As after a cut that was so long that the log of it is gone.
    #[test]
    fn who_lost_a_key_within_a_snapshot_is_told_and_who_gained_one_is_watched() {
        let mut here = Here::new();
        for (key, name) in [(b"1", b"p"), (b"2", b"p"), (b"3", b"q")] {
            here.change(None, Some(&item(key, HERE, name)), Gone::Deleted);
        }
        let mut loaded = Owners::default();
        let mut load = |item: &Item| {
            let change = Change { table: "", old: None, new: Some(item), gone: Gone::Deleted };
            loaded.changed(&change, |_, _| ());
        };
        load(&item(b"1", HERE, b"p"));
        load(&item(b"2", HERE, b"r"));
        here.owners.replace(loaded, 90);
        let mut told = here.told.take();
        told.sort();
        assert_eq!(told, ["forget q", "lost p 2 90", "lost q 3 90", "watch r"]);
    }

    fn claim(item: &Item) -> BTreeSet<Claim> {
        let (key, owner) = (item.key().into(), item.owner().into());
        BTreeSet::from([Claim { table: "".into(), key, owner }])
    }

    /// As when a node is frozen between the two.
    #[test]
    fn who_was_given_a_key_that_was_lost_before_it_was_applied_here_is_told() {
        let mut here = Here::new();
        let lost = item(b"1", HERE, b"p");
        for _ in 0..9 {
            here.change(None, Some(&item(b"0", HERE, b"other")), Gone::Deleted);
        }
        here.owners.acknowledged(claim(&lost), 10);
        here.owners.acknowledged(claim(&item(b"2", HERE, b"p")), 11);
        here.owners.acknowledged(claim(&item(b"3", HERE, b"p")), 90);
        here.owners.acknowledged(claim(&item(b"4", HERE, b"p")), 91);
        let loaded = |items: &[Item]| {
            let mut loaded = Owners::default();
            for new in items.iter().map(Some) {
                let change = Change { table: "", old: None, new, gone: Gone::Deleted };
                loaded.changed(&change, |_, _| ());
            }
            loaded
        };
        let of_all = loaded(&[item(b"0", HERE, b"other"), item(b"2", HERE, b"p")]);
        here.owners.replace(of_all, 90);
        assert_eq!(here.told.take(), ["lost p 1 90", "lost p 3 90", "watch p"]);
        here.owners.replace(loaded(&[]), 95);
        let mut told = here.told.take();
        told.sort();
        let losses = ["lost other 0 95", "lost p 2 95", "lost p 4 95"];
        assert_eq!(told, [["forget other", "forget p"].as_slice(), &losses].concat());
    }

    #[test]
    fn who_is_given_a_key_after_the_snapshot_that_has_it_no_more_is_told_at_once() {
        let mut here = Here::new();
        let mine = item(b"1", HERE, b"p");
        let mut loaded = Owners::default();
        let change = Change { table: "", old: None, new: Some(&mine), gone: Gone::Deleted };
        loaded.changed(&change, |_, _| ());
        here.owners.replace(loaded, 90);
        here.told.take();
        here.owners.acknowledged(claim(&mine), 80);
        assert_eq!(here.told.take(), [""; 0], "it is there");
        here.owners.acknowledged(claim(&item(b"2", HERE, b"p")), 80);
        assert_eq!(here.told.take(), ["lost p 2 90"]);
        here.revision = 90;
        here.change(Some(&mine), None, Gone::Deleted);
        here.owners.acknowledged(claim(&mine), 91);
        assert_eq!(here.told.take(), [""; 0], "its loss was seen when it was applied");
    }

    #[test]
    fn what_was_acknowledged_is_forgotten_when_it_is_applied() {
        let mut here = Here::new();
        let mine = item(b"1", HERE, b"p");
        here.owners.acknowledged(claim(&mine), 1);
        here.change(None, Some(&mine), Gone::Deleted);
        assert_eq!(here.change(Some(&mine), None, Gone::Deleted), ["forget p"]);
        here.owners.replace(Owners::default(), 90);
        assert_eq!(here.told.take(), [""; 0], "it was given away here");
    }

    #[test]
    fn whoever_hosts_later_is_told_of_the_owners_that_are_there() {
        let owners = SharedOwners::new(HERE, Arc::default());
        let mut observer = owners.observer();
        let (mine, other) = (item(b"1", HERE, b"p"), item(b"2", Run { member: 8, run: 1 }, b"q"));
        for new in [&mine, &other] {
            let change = Change { table: "", old: None, new: Some(new), gone: Gone::Deleted };
            observer.changed(&change);
        }
        let told = Arc::new(Told::default());
        owners.host(told.clone());
        assert_eq!(told.take(), ["watch p"]);
    }

    #[test]
    fn a_member_reports_the_ends_of_its_own_owners_alone_and_of_those_that_are_there() {
        let mut here = Here::new();
        let (mine, other) = (item(b"1", HERE, b"p"), item(b"2", Run { member: 8, run: 1 }, b"q"));
        here.change(None, Some(&mine), Gone::Deleted);
        here.change(None, Some(&other), Gone::Deleted);
        let absent = item(b"3", Run { member: 8, run: 1 }, b"r");
        let said: Vec<Box<[u8]>> =
            [&mine, &other, &absent].map(|item| item.owner().into()).to_vec();
        here.owners.report(8, said);
        let keys: Vec<Vec<u8>> =
            here.owners.take_reported().iter().map(|owned| owned.item.key().to_vec()).collect();
        assert_eq!(keys, [b"2"]);
        here.owners.forget_reports();
        assert!(here.owners.take_reported().is_empty());
    }
}
