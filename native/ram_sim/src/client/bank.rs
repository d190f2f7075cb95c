//! Transfers between the accounts of a bank, and looks at all of them: see
//! [`accounts`](ram_check::accounts). The amounts are numbers, moved by counting or by transactions
//! that read, reckon and write; the table is a set or ordered, as the seed has it.

use bytes::Bytes;
use ram_check::Told;
use ram_check::accounts::{Balances, Banked, Banking};
use ram_store::write::{Command, Comparison, Condition, Place, State};
use rand::RngExt;

use super::keys::number_of;
use super::tables::{How, Seen, ran};
use super::{Asked, Client};
use crate::host::now_ns;

const TABLE: &str = "bank";
const ACCOUNTS: usize = 5;
const BALANCE: i64 = 20;
const AMOUNT_MAX: i64 = 12;

fn accounts() -> Vec<Bytes> {
    (0..ACCOUNTS).map(|number| Bytes::from(format!("a{number}"))).collect()
}

fn name(account: &[u8]) -> std::sync::Arc<str> {
    String::from_utf8_lossy(account).as_ref().into()
}

impl Client {
    pub async fn work_at_the_bank(&mut self) {
        if self.rng.random_bool(0.4) {
            let how = self.some_way();
            _ = self.look_at_the_bank(how).await;
        } else {
            self.transfer().await;
        }
    }

    /// Notes what all accounts have.
    pub async fn look_at_the_bank(&mut self, how: How) -> bool {
        let id = self.calls(Banking::Look);
        let view = self.view(TABLE, &accounts(), b"a", how).await;
        let saw = view.as_ref().map(|view| {
            let balance = |(key, seen): (&Bytes, &Seen)| (name(key), number_of(&seen.value));
            Banked::Saw(view.keys.iter().map(balance).collect())
        });
        self.returns(id, saw.map_or(Told::Unknown, Told::Done));
        view.is_some()
    }

    async fn transfer(&mut self) {
        let from = self.rng.random_range(0..ACCOUNTS);
        let to = (from + self.rng.random_range(1..ACCOUNTS)) % ACCOUNTS;
        let all = accounts();
        let (from, to) = (all[from].clone(), all[to].clone());
        let pair = [from.clone(), to.clone()];
        let Some(view) = self.view(TABLE, &pair, b"a", How::Together).await else { return };
        let (Some(has), Some(gets)) = (view.keys.get(&from), view.keys.get(&to)) else {
            return self.open().await;
        };
        let amount = self.rng.random_range(1..=AMOUNT_MAX).min(number_of(&has.value));
        if amount == 0 {
            return;
        }
        let request = Banking::Transfer { from: name(&from), to: name(&to), amount };
        let id = self.calls(request);
        let told = if self.rng.random_bool(0.5) {
            self.count_over((&from, has), &to, amount).await
        } else {
            self.write_over((&from, has), (&to, gets), amount).await
        };
        self.returns(id, told);
    }

    /// Whatever the other has.
    async fn count_over(
        &self,
        (from, has): (&[u8], &Seen),
        to: &[u8],
        amount: i64,
    ) -> Told<Banked> {
        let is = State::Value(&has.value);
        let (less, more) = ((-amount).to_le_bytes(), amount.to_le_bytes());
        let commands = [
            Command::Count { at: Place::of(from), count: &less },
            Command::Count { at: Place::of(to), count: &more },
        ];
        self.bank(&[Condition::Key { at: Place::of(from), is }], &commands).await
    }

    /// Writes what was reckoned, if what it rests on is as it was.
    async fn write_over(
        &self,
        (from, has): (&[u8], &Seen),
        (to, gets): (&[u8], &Seen),
        amount: i64,
    ) -> Told<Banked> {
        let unchanged = |key, seen: &Seen| {
            let is = State::Revision(Comparison::Equal, seen.revision);
            Condition::Key { at: Place::of(key), is }
        };
        let left = (number_of(&has.value) - amount).to_le_bytes();
        let sum = (number_of(&gets.value) + amount).to_le_bytes();
        let commands = [Command::put(from, &left), Command::put(to, &sum)];
        self.bank(&[unchanged(from, has), unchanged(to, gets)], &commands).await
    }

    async fn bank(&self, conditions: &[Condition<'_>], commands: &[Command<'_>]) -> Told<Banked> {
        match self.transact(TABLE, conditions, commands).await {
            Asked::Done(answer) => ran(answer).map_or(Told::Failed, |_| Told::Done(Banked::Done)),
            Asked::Unknown => Told::Unknown,
            Asked::Failed => Told::Failed,
        }
    }

    /// Whoever comes first.
    async fn open(&mut self) {
        let ordered = self.world.borrow().plan.is_bank_ordered;
        self.create_table(TABLE, ordered).await;
        let (all, balance) = (accounts(), BALANCE.to_le_bytes());
        let opened: Balances = all.iter().map(|account| (name(account), BALANCE)).collect();
        let absent = |account| Condition::Key { at: Place::of(account), is: State::Absent };
        let conditions: Vec<_> = all.iter().map(|account| absent(account)).collect();
        let puts: Vec<_> = all.iter().map(|account| Command::put(account, &balance)).collect();
        let id = self.calls(Banking::Open(opened));
        let told = self.bank(&conditions, &puts).await;
        self.returns(id, told);
    }

    fn calls(&self, request: Banking) -> ram_check::CallId {
        self.note(&request);
        let state = &mut *self.world.borrow_mut();
        state.accounts.call(&self.name, &self.node, request, now_ns())
    }

    fn returns(&self, id: ram_check::CallId, told: Told<Banked>) {
        self.note(&told);
        self.world.borrow_mut().accounts.ret(id, told, now_ns()).unwrap();
    }
}
