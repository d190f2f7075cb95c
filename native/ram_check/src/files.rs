//! Reads the histories that the clients of a torture run wrote: `*.history`, one file a client.
//!
//! Words stand apart by one space; times are nanoseconds of one clock (CLOCK_MONOTONIC) that all
//! clients share; keys and values are words, `-` is absent. A client writes the call before it
//! calls.
//!
//! ```text
//! # node ram2@127.0.0.1                the node talked to from here on; other # are comments
//! i OP read KEY T                      calls; OP is a number, unique within the file
//! i OP write KEY VALUE T
//! i OP delete KEY T
//! i OP cas KEY EXPECT NEW T
//! i OP swap KEY NEW T
//! i OP add KEY N T
//! r OP ok [VALUE] T                    returns; VALUE after read and swap, and maybe after add
//! r OP conflict T
//! r OP unknown T
//! r OP failed T
//! ```
//!
//! Of several keys at once, for the judges of [`accounts`](crate::accounts) and
//! [`lists`](crate::lists); a list is numbers with commas between, `-` is an empty one:
//!
//! ```text
//! i OP open KEY=N ... T                opens the accounts
//! i OP transfer FROM TO N T
//! i OP look T
//! r OP ok [KEY=N ...] T                after look: what each account has, or `-` for none
//! i OP lists STEP ... T                a step is KEY for a read, KEY+N for an append
//! r OP ok [KEY=LIST ...] T             what each of its reads saw
//! ```
//!
//! Of keys with a time to live, for [`expiry`](crate::expiry), in milliseconds, `-` is none; of
//! locks, for [`locks`](crate::locks); of names of processes, each of which is registered once, for
//! [`names`](crate::names); and of writes that watches are told of, for
//! [`watches`](crate::watches):
//!
//! ```text
//! i OP timed put KEY VALUE TTL T       also: timed touch KEY TTL, timed get KEY,
//! i OP timed settled BOUND T           within which keys go while one leader leads
//! r OP ok T                            after a put
//! r OP ok touched yes|no T
//! r OP ok found VALUE|- T
//! r OP ok term TERM T                  the term that is led
//! i OP owned lock NAME T               also: owned free NAME, and with a token that was given:
//! i OP owned guarded NAME TOKEN T      owned unlock NAME TOKEN, owned drop NAME TOKEN
//! r OP ok token TOKEN T                or: held; after guarded, unlock and free: yes|no
//! i OP named register NAME PROCESS T   also: named kill NAME PROCESS, and without a process:
//! i OP named whereis NAME T            named unregister NAME, named free NAME
//! r OP ok yes|no T                     after register and free
//! r OP ok found PROCESS|- T
//! i OP change KEY=VALUE KEY! ... T     writes that, and deletes the keys with a !, at once
//! r OP ok rev REVISION|- T
//! i OP content T
//! r OP ok KEY=VALUE ... T              or - for an empty table
//! ```
//!
//! What the receivers of watches were sent stands in `NAME.NUMBER.watch`, the parts of a receiver
//! in the order of their numbers, a line for each message:
//!
//! ```text
//! w KEYS initial T                     asks for a watch with what is there; KEYS: all, key KEY,
//! w KEYS from REVISION T               prefix PREFIX, range FROM TO
//! b REVISION T                         it begins; changes after that revision follow
//! c T                                  it does not: the history is shorter
//! m REVISION CHANGE ... T              KEY=NEW, KEY=NEW<OLD (with - for none), KEY!WHY
//! d REVISION T                         all that was there has been sent
//! l REVISION T                         lost: all up to that revision was sent
//! ```
//!
//! A call without a return is unknown: its client was killed. That may also have cut its last line,
//! so what stands after the last newline is not read. All else that is not of this form is an
//! error, named with its file and line: a judge that guesses is none.
//!
//! The file `faults`, if there is one, has lines `T1 T2 words`: begin, end, what was done.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::accounts::Banking;
use crate::calls::{CallId, Calls};
use crate::expiry::Timed;
use crate::history::{History, Malformed, Op, OpId, Ties};
use crate::lists::Transaction;
use crate::locks::Locking;
use crate::names::Naming;
use crate::watches::{Changing, Receiver, lines as of_receiver};
use crate::words::{
    Request, action, banked, changed, found as found_key, locked, named, number, outcome, read,
    request, told,
};

/// Something that was done to the cluster, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub from_ns: u64,
    pub to_ns: u64,
    pub what: String,
}

/// All that a folder tells.
#[derive(Debug, Default)]
pub struct Folder {
    pub history: History,
    pub accounts: Calls<Banking>,
    pub lists: Calls<Transaction>,
    pub timed: Calls<Timed>,
    pub changing: Calls<Changing>,
    pub locking: Calls<Locking>,
    pub naming: Calls<Naming>,
    pub receivers: Vec<Receiver>,
    pub faults: Vec<Fault>,
}

/// Why a folder cannot be read.
#[derive(Debug)]
pub enum ReadError {
    Io { path: PathBuf, error: io::Error },
    Line { path: PathBuf, line: usize, why: String },
    Empty { path: PathBuf },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            ReadError::Line { path, line, why } => write!(f, "{}:{line}: {why}", path.display()),
            ReadError::Empty { path } => write!(f, "{}: no *.history file", path.display()),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads all `*.history` and `*.watch` files of a folder, and its `faults`.
pub fn read_folder(folder: &Path) -> Result<Folder, ReadError> {
    let mut found = Folder { history: History::new(Ties::Overlap), ..Folder::default() };
    let paths = files(folder, "history").map_err(io_error(folder))?;
    if paths.is_empty() {
        return Err(ReadError::Empty { path: folder.into() });
    }
    for path in paths {
        let text = fs::read_to_string(&path).map_err(io_error(&path))?;
        let client = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut file = File { client, node: String::new(), ops: HashMap::new() };
        lines(&path, &text, |line| file.line(line, &mut found))?;
    }
    found.receivers = receivers(folder)?;
    let path = folder.join("faults");
    match fs::read_to_string(&path) {
        Ok(text) => lines(&path, &text, |line| {
            found.faults.extend(fault(line)?);
            Ok(())
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error(&path)(error)),
    }
    Ok(found)
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> ReadError {
    let path = path.to_owned();
    move |error| ReadError::Io { path: path.clone(), error }
}

fn files(folder: &Path, kind: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == kind) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The parts of each are put together.
fn receivers(folder: &Path) -> Result<Vec<Receiver>, ReadError> {
    let mut parts = Vec::new();
    for path in files(folder, "watch").map_err(io_error(folder))? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let named = stem.rsplit_once('.').ok_or("a part has a number".to_owned());
        let part = named.and_then(|(name, part)| Ok((name.to_owned(), number::<u64>(part)?)));
        let (name, part) =
            part.map_err(|why| ReadError::Line { path: path.clone(), line: 0, why })?;
        parts.push((name, part, path));
    }
    parts.sort();
    let mut receivers: Vec<Receiver> = Vec::new();
    for (name, _, path) in parts {
        let text = fs::read_to_string(&path).map_err(io_error(&path))?;
        if receivers.last().is_none_or(|last| last.name != name) {
            receivers.push(Receiver { name, events: Vec::new() });
        }
        if let Some(receiver) = receivers.last_mut() {
            lines(&path, &text, |line| {
                receiver.events.extend(of_receiver::event(line)?);
                Ok(())
            })?;
        }
    }
    Ok(receivers)
}

/// Gives each whole line to `take`; an answer of words is an error of that line.
fn lines(
    path: &Path,
    text: &str,
    mut take: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), ReadError> {
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    for (number, line) in whole.lines().enumerate() {
        let path = path.to_owned();
        take(line).map_err(|why| ReadError::Line { path, line: number + 1, why })?;
    }
    Ok(())
}

fn fault(line: &str) -> Result<Option<Fault>, String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut words = line.splitn(3, ' ');
    let mut time = || words.next().ok_or("a fault is T1 T2 words".to_owned()).and_then(number);
    let (from_ns, to_ns) = (time()?, time()?);
    let what = words.next().unwrap_or_default().to_owned();
    if to_ns < from_ns {
        return Err("the fault ends before it begins".to_owned());
    }
    Ok(Some(Fault { from_ns, to_ns, what }))
}

/// An operation that was called.
#[derive(Clone, Copy)]
enum Called {
    Key(OpId),
    Accounts(CallId),
    Lists(CallId),
    Timed(CallId),
    Changing(CallId),
    Locking(CallId),
    Naming(CallId),
}

/// The file of one client, being read.
struct File {
    client: String,
    node: String,
    /// The calls so far, by their number in the file.
    ops: HashMap<u64, Called>,
}

impl File {
    fn line(&mut self, line: &str, found: &mut Folder) -> Result<(), String> {
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(node) = comment.strip_prefix(" node ") {
                self.node = node.trim().to_owned();
            }
            return Ok(());
        }
        let words: Vec<&str> = line.split(' ').collect();
        if words.contains(&"") {
            return Err("words stand apart by one space".to_owned());
        }
        match words.as_slice() {
            ["i", op, kind, rest @ .., at]
                if !rest.is_empty() || matches!(*kind, "look" | "content") =>
            {
                let (op, at_ns) = (number(op)?, number(at)?);
                let called = self.call((kind, rest), at_ns, found)?;
                match self.ops.insert(op, called) {
                    None => Ok(()),
                    Some(_) => Err(format!("operation {op} is called a second time")),
                }
            }
            ["r", op, rest @ .., at] => {
                let (op, at_ns) = (number(op)?, number(at)?);
                let called = self.ops.get(&op).ok_or(format!("operation {op} was not called"))?;
                let answer = match *called {
                    Called::Key(id) => found.history.ret(id, outcome(rest)?, at_ns),
                    Called::Accounts(id) => found.accounts.ret(id, told(rest, banked)?, at_ns),
                    Called::Lists(id) => found.lists.ret(id, told(rest, read)?, at_ns),
                    Called::Timed(id) => found.timed.ret(id, told(rest, found_key)?, at_ns),
                    Called::Locking(id) => found.locking.ret(id, told(rest, locked)?, at_ns),
                    Called::Naming(id) => found.naming.ret(id, told(rest, named)?, at_ns),
                    Called::Changing(id) => found.changing.ret(id, told(rest, changed)?, at_ns),
                };
                answer.map_err(|Malformed(why)| why.to_owned())
            }
            _ => Err(format!("neither a call nor a return: {line:?}")),
        }
    }

    fn call(
        &self,
        (kind, rest): (&str, &[&str]),
        at_ns: u64,
        found: &mut Folder,
    ) -> Result<Called, String> {
        let (client, node) = (&self.client, &self.node);
        match (request(kind, rest)?, rest) {
            (Some(Request::Accounts(request)), _) => {
                Ok(Called::Accounts(found.accounts.call(client, node, request, at_ns)))
            }
            (Some(Request::Lists(request)), _) => {
                Ok(Called::Lists(found.lists.call(client, node, request, at_ns)))
            }
            (Some(Request::Timed(request)), _) => {
                Ok(Called::Timed(found.timed.call(client, node, request, at_ns)))
            }
            (Some(Request::Locking(request)), _) => {
                Ok(Called::Locking(found.locking.call(client, node, request, at_ns)))
            }
            (Some(Request::Naming(request)), _) => {
                Ok(Called::Naming(found.naming.call(client, node, request, at_ns)))
            }
            (Some(Request::Changing(request)), _) => {
                Ok(Called::Changing(found.changing.call(client, node, request, at_ns)))
            }
            (None, [key, rest @ ..]) => {
                let op = Op::new(key, action(kind, rest)?);
                Ok(Called::Key(found.history.call(client, node, op, at_ns)))
            }
            (None, []) => Err(format!("no operation: {kind} without a key")),
        }
    }
}
