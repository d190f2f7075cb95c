//! The sequential model of the contract: random writes of all kinds, and what they do by it.
//!
//! The model shares no code with the store: its tables are B-trees of owned keys, and a write works
//! on a copy of them all, which is thrown away where it fails.

use super::observers::Witness;
use super::plan::*;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use ram_table::item::Life;
use std::ops::RangeBounds;

#[derive(Debug, Clone, Default)]
struct Model {
    revision: u64,
    tables: BTreeMap<String, (bool, Content)>,
    /// Did the write that is made change anything?
    has_changed: bool,
}

impl Model {
    fn new() -> Model {
        Model { tables: BTreeMap::from([("".into(), (false, Content::new()))]), ..Model::default() }
    }

    fn table(&mut self, index: usize) -> Result<&mut (bool, Content), Failure> {
        let name = TABLES[index];
        self.tables.get_mut(name).ok_or_else(|| Failure::NoTable(name.into()))
    }

    fn ordered(&mut self, index: usize) -> Result<&mut Content, Failure> {
        match self.table(index)? {
            (true, content) => Ok(content),
            _ => Err(Failure::NotOrdered(TABLES[index].into())),
        }
    }

    fn make(&mut self, write: &Planned) -> Answer {
        let mut made = Model { has_changed: false, ..self.clone() };
        match made.run(write) {
            Ok(mut answer) => {
                made.revision += u64::from(made.has_changed);
                if let Answer::Done { revision }
                | Answer::Ran { revision, .. }
                | Answer::Deleted { revision, .. } = &mut answer
                {
                    *revision = made.revision;
                }
                *self = made;
                answer
            }
            Err(failure) => Answer::Failed(failure),
        }
    }

    /// The revision of the answer is set by [`Model::make`].
    fn run(&mut self, write: &Planned) -> Result<Answer, Failure> {
        let (table, revision) = (write.table, 0);
        match &write.kind {
            Kind::Batch(changes) => {
                for change in changes {
                    self.change(table, change)?;
                }
                Ok(Answer::Done { revision })
            }
            Kind::Transaction(checks, then, otherwise) => {
                let before = self.clone();
                self.table(table)?;
                let mut succeeded = true;
                for check in checks {
                    succeeded = succeeded && before.clone().holds(table, check)?;
                }
                let mut results = Vec::new();
                let (steps, first) =
                    if succeeded { (then, 0) } else { (otherwise, then.len() as u32) };
                for (at, step) in (first..).zip(steps) {
                    self.step(table, step, at, &mut results)?;
                }
                Ok(Answer::Ran { succeeded, revision, results: Some(results) })
            }
            Kind::DeleteRange(bounds) => {
                let content = self.ordered(table)?;
                let before = content.len();
                content.retain(|key, _| !bounds.contains(&key[0]));
                let entries = (before - content.len()) as u64;
                self.has_changed |= entries > 0;
                Ok(Answer::Deleted { revision, entries })
            }
            Kind::Create(_) if self.table(table).is_ok() => Err(Failure::TableExists),
            Kind::Create(ordered) => {
                self.has_changed = true;
                self.tables.insert(TABLES[table].into(), (*ordered, Content::new()));
                Ok(Answer::Done { revision })
            }
            Kind::Drop if table == 0 => Err(Failure::NoTable("".into())),
            Kind::Drop => {
                self.table(table)?;
                self.has_changed = true;
                self.tables.remove(TABLES[table]);
                Ok(Answer::Done { revision })
            }
        }
    }

    fn change(&mut self, table: usize, change: &Change) -> Result<(), Failure> {
        let revision = self.revision + 1;
        let (_, content) = self.table(table)?;
        self.has_changed |= match change {
            Change::Put(key, value, ttl_ms) => {
                let mut meta = match content.get(&vec![*key]) {
                    None => Meta::created(revision),
                    Some((_, meta)) if meta.revision == revision => *meta,
                    Some((_, meta)) => Meta { revision, version: meta.version + 1, ..*meta },
                };
                meta.life = match ttl_ms {
                    Setting::Keep => meta.life,
                    Setting::Clear => None,
                    Setting::To(ttl_ms) => Some(Life { ttl_ms: *ttl_ms, revision, since_ms: 0 }),
                };
                content.insert(vec![*key], (value.clone(), meta));
                true
            }
            Change::Delete(key) => content.remove(&vec![*key]).is_some(),
        };
        Ok(())
    }

    fn found(&mut self, table: usize, key: Key) -> Result<Option<Found>, Failure> {
        let (_, content) = self.table(table)?;
        Ok(content.get(&vec![key]).and_then(|(value, meta)| found_with(value, *meta)))
    }

    fn step(
        &mut self,
        table: usize,
        step: &Step,
        at: u32,
        results: &mut Vec<Option<Found>>,
    ) -> Result<(), Failure> {
        match step {
            Step::Change(named, change) => self.change(named.unwrap_or(table), change),
            Step::Get(named, key) => {
                results.push(self.found(named.unwrap_or(table), *key)?);
                Ok(())
            }
            Step::Count(named, key, by) => {
                let table = named.unwrap_or(table);
                let current = self
                    .found(table, *key)?
                    .map_or(number(0).to_vec(), |found| found.value.to_vec());
                let no_number = |_| Failure::NotANumber { command: at };
                let current = i64::from_le_bytes(current.try_into().map_err(no_number)?);
                let counted = number(current + by).to_vec();
                self.change(table, &Change::Put(*key, counted, Setting::Keep))?;
                results.push(self.found(table, *key)?);
                Ok(())
            }
            Step::Touch(named, key, ttl_ms) => {
                let revision = self.revision + 1;
                let (_, content) = self.table(named.unwrap_or(table))?;
                if let Some((_, meta)) = content.get_mut(&vec![*key]) {
                    let life = |ttl_ms| Life { ttl_ms, revision, since_ms: 0 };
                    *meta = Meta { revision, life: ttl_ms.map(life), ..*meta };
                    self.has_changed = true;
                }
                Ok(())
            }
        }
    }

    fn holds(&mut self, table: usize, check: &Check) -> Result<bool, Failure> {
        match check {
            Check::Key(named, key, expected) => {
                let newest = self.revision;
                let found = self.found(named.unwrap_or(table), *key)?;
                Ok(match (expected, found) {
                    (Expected::Absent, found) => found.is_none(),
                    (_, None) => false,
                    (Expected::Present, _) => true,
                    (Expected::Value(value), Some(found)) => *value == found.value,
                    (Expected::Newest, Some(found)) => found.revision == newest,
                    (Expected::Revision(comparison, revision), Some(found)) => {
                        let ordering = found.revision.cmp(revision);
                        match comparison {
                            Comparison::Less => ordering.is_lt(),
                            Comparison::Equal => ordering.is_eq(),
                            Comparison::Greater => ordering.is_gt(),
                        }
                    }
                })
            }
            Check::Unchanged(named, bounds, ago, more) => {
                let newest = self.revision.saturating_sub(*ago);
                let content = self.ordered(named.unwrap_or(table))?;
                let mut within = content.iter().filter(|(key, _)| bounds.contains(&key[0]));
                let is_older = within.all(|(_, (_, meta))| meta.revision <= newest);
                Ok(is_older && *more == 0)
            }
        }
    }

    /// The write as it is proposed, before it is made.
    fn encoded(&self, write: &Planned) -> Encoded {
        let table = TABLES[write.table];
        match &write.kind {
            Kind::Batch(changes) => {
                let mut batch =
                    Encoded::of(&Write::Batch { table, commands: changes.len() as u32 });
                changes.iter().for_each(|change| encode_change(&mut batch, None, change));
                batch
            }
            Kind::Transaction(checks, then, otherwise) => {
                let mut encoded = Encoded::of(&Write::Transaction {
                    table,
                    conditions: checks.len() as u32,
                    then: then.len() as u32,
                    otherwise: otherwise.len() as u32,
                });
                checks.iter().for_each(|check| self.encode_check(&mut encoded, write.table, check));
                then.iter().chain(otherwise).for_each(|step| encode_step(&mut encoded, step));
                encoded
            }
            Kind::DeleteRange(bounds) => with_range(bounds, |range| delete_range(table, range)),
            Kind::Create(ordered) => create(table, *ordered),
            Kind::Drop => drop_table(table),
        }
    }

    fn encode_check(&self, encoded: &mut Encoded, table: usize, check: &Check) {
        match check {
            Check::Key(named, key, expected) => {
                let is = match expected {
                    Expected::Absent => State::Absent,
                    Expected::Present => State::Present,
                    Expected::Value(value) => State::Value(value),
                    Expected::Revision(comparison, revision) => {
                        State::Revision(*comparison, *revision)
                    }
                    Expected::Newest => State::Revision(Comparison::Equal, self.revision),
                };
                let at = Place { table: named.map(|named| TABLES[named]), key: &[*key] };
                encoded.condition(&Condition::Key { at, is });
            }
            Check::Unchanged(named, bounds, ago, more) => {
                let name = TABLES[named.unwrap_or(table)];
                let within = self.tables.get(name).map_or(0, |(_, content)| {
                    content.keys().filter(|key| bounds.contains(&key[0])).count()
                });
                let entries = within as u64 + more;
                let revision = self.revision.saturating_sub(*ago);
                let table = named.map(|named| TABLES[named]);
                with_range(bounds, |range| {
                    encoded.condition(&Condition::Unchanged { table, range, revision, entries });
                });
            }
        }
    }
}

fn with_range<T>(bounds: &Bounds, with: impl FnOnce(Range<'_>) -> T) -> T {
    let (from, to) = (bounds.0.map(|key| [key]), bounds.1.map(|key| [key]));
    with((from.as_ref().map(|key| &key[..]), to.as_ref().map(|key| &key[..])))
}

fn encode_change(encoded: &mut Encoded, table: Option<&str>, change: &Change) {
    match change {
        Change::Put(key, value, ttl_ms) => {
            let (at, ttl_ms) = (Place { table, key: &[*key] }, *ttl_ms);
            encoded.command(&Command::put_lasting(at, value, ttl_ms));
        }
        Change::Delete(key) => {
            encoded.command(&Command::Delete { at: Place { table, key: &[*key] } })
        }
    }
}

fn encode_step(encoded: &mut Encoded, step: &Step) {
    let name = |named: &Option<usize>| named.map(|named| TABLES[named]);
    match step {
        Step::Change(named, change) => encode_change(encoded, name(named), change),
        Step::Get(named, key) => {
            encoded.command(&Command::Get { at: Place { table: name(named), key: &[*key] } });
        }
        Step::Count(named, key, by) => {
            let at = Place { table: name(named), key: &[*key] };
            encoded.command(&Command::Count { at, count: &number(*by) });
        }
        Step::Touch(named, key, ttl_ms) => {
            let at = Place { table: name(named), key: &[*key] };
            encoded.command(&Command::Touch { at, ttl_ms: *ttl_ms });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stores_fed_the_same_log_are_the_same_and_do_what_the_model_does(
        groups in vec((vec(planned(), 1..8), 0..4u8), 1..25),
    ) {
        let (mut one, mut other, mut model) = (Client::new(), Client::new(), Model::new());
        let witness = Witness::of(&mut one);
        for (writes, fate) in groups {
            let stamp = one.stamp();
            let (mut encoded, mut expected) = (Vec::new(), Vec::new());
            for write in &writes {
                encoded.push(model.encoded(write));
                expected.push(model.make(write));
            }
            let bytes = group(stamp, &encoded);
            let expected = Outcome::Answers(expected);
            prop_assert_eq!(one.send(&bytes), expected.clone());
            prop_assert_eq!(other.send(&bytes), expected.clone());
            prop_assert_eq!(one.revision(), model.revision);
            match fate {
                // It is sent again.
                0 => {
                    prop_assert_eq!(one.send(&bytes), expected.clone());
                    prop_assert_eq!(other.send(&bytes), expected);
                }
                // One of them goes on from a snapshot.
                1 => other.store = dump::load(&dump::blocks_of(&other.store)).unwrap(),
                _ => {}
            }
            prop_assert_eq!(&contents(&one.store), &model.tables);
            let content = |(name, (_, content)): (&String, &(bool, Content))| {
                (!content.is_empty()).then(|| (name.clone(), content.clone()))
            };
            let told: BTreeMap<_, _> = model.tables.iter().filter_map(content).collect();
            prop_assert_eq!(&witness.told().tables, &told);
            prop_assert_eq!(witness.told().revision, model.revision);
        }
        prop_assert_eq!(contents(&other.store), model.tables);
        prop_assert_eq!(one.store.metadata(), other.store.metadata());
        prop_assert_eq!(one.store.tables().entries(), other.store.tables().entries());
        prop_assert_eq!(one.store.tables().bytes(), other.store.tables().bytes());
    }
}
