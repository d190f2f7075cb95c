%% The native library: stubs and nothing else. Requests are made by ram_request; calls that block,
%% from member_start/2 to folder_erase/2, by ram_owner alone, which gets the messages of the member.
-module(ram_nif).

-export([member_check/1, member_start/2, member_stop/1, member_status/1, member_set_address/3,
         member_set_cookie/2, member_rename/3, member_recover/3, member_erase/1,
         member_set_aside/1, member_abandon/1, folder_look/1, folder_erase/2]).
-export([put/6, put_large/6, delete/5, write_many/6, delete_range/5, change_table/4]).
-export([transaction/5, transaction_large/5]).
-export([owner_here/2, owner/5]).
-export([turn/5, give_turn_back/3]).
-export([long_key/2, fetch_now/3, get_now/4, get_in_now/5, read/5, sync/3, change/4, reach/4,
         backup/4, restore/4, cancel/2]).
-export([lookup_now/4, get_many_now/4, range_now/5, info_now/3, tables_now/2, scan_now/3]).
-export([lookup/6, get_many/6, range/6, info/5, tables/4, scan/5]).
-export([scan_page/5, scan_get/3, scan_type/2, scan_close/1]).
-export([watch/6, unwatch/1, watch_ack/2]).
-export([key_encode/1, key_decode/1, value_same/2, value_count/4]).
-export_type([member/0, change/0, reply/0, cause/0]).
-export_type([condition/0, command/0, held/0, hint/0, item/0, item_meta/0, key_range/0]).

-on_load(load/0).

-define(NOT_LOADED, erlang:nif_error({not_loaded, ?MODULE})).

-opaque member() :: reference().
-type reply() :: {ok, Id :: non_neg_integer()} | {error, term()}.
-type change() :: {initialize, [{Id :: pos_integer(), Name :: binary(), Address :: binary()}]}
                | {add, Id :: pos_integer(), Name :: binary(), Address :: binary()}
                | {remove, Name :: binary()}
                | {remove_one, Id :: pos_integer(), Name :: binary()}.

%% Parts of a transaction; values are in external term format, names of tables are text and that of
%% the default table is empty. `none': the table of the transaction.
-type condition() ::
        {none | binary(), Key :: term(),
         absent | present | {value, binary()} | {rev, '<' | '=' | '>', non_neg_integer()}}
      | {unchanged, none | binary(), key_range(), Rev :: non_neg_integer(),
         Entries :: non_neg_integer()}.
-type command() :: {put, none | binary(), Key :: term(), binary()}
                 | {put, none | binary(), Key :: term(), binary(), ram:ttl() | keep}
                 | {put, none | binary(), Key :: term(), binary(), ram:ttl(), Owner :: binary()}
                 | {touch, none | binary(), Key :: term(), ram:ttl()}
                 | {delete, none | binary(), Key :: term()}
                 | {get, none | binary(), Key :: term()}
                 | {count, none | binary(), Key :: term(), Increment :: integer(),
                    Default :: integer(), none | {Threshold :: integer(), SetTo :: integer()}}.
%% What a key held when a command looked at it.
-type held() :: {Value :: binary(), Rev :: pos_integer(), CreatedRev :: pos_integer(),
                 Version :: pos_integer(), ram:ttl(), ram:owner() | none}.

%% What a key is expected to hold.
-type hint() :: unknown | none | {value, binary()}.

%% Why a member is not reached.
-type cause() :: no_address | unknown_host | connection_refused | no_route | timeout | not_ours
               | version | wrong_cookie | wrong_cluster | wrong_peer | not_admitted | closed
               | failed.

%% In priv/ of the application; or beside this beam, where people copy beams into one flat folder.
load() ->
    case [Path || Path <- places(), filelib:is_regular(Path ++ ".so")] of
        [Path | _] -> erlang:load_nif(Path, 0);
        [] -> {error, {library_not_found, places()}}
    end.

places() ->
    [filename:join(Dir, "ram_nif") || Dir <- [code:priv_dir(ram), beam_dir()], is_list(Dir)].

beam_dir() ->
    case code:which(?MODULE) of
        Beam when is_list(Beam) -> filename:dirname(Beam);
        _ -> undefined
    end.

-spec member_check(map()) -> ok | {error, {config, binary(), binary()}}.
member_check(_Config) -> ?NOT_LOADED.

-spec member_start(map(), Cluster :: binary()) -> {ok, member()} | {error, term()}.
member_start(_Config, _Cluster) -> ?NOT_LOADED.

-spec member_stop(member()) -> ok.
member_stop(_Member) -> ?NOT_LOADED.

-spec member_status(member()) -> {ok, map()} | {error, noproc}.
member_status(_Member) -> ?NOT_LOADED.

-spec member_set_address(member(), pos_integer(), binary()) -> ok.
member_set_address(_Member, _Id, _Address) -> ?NOT_LOADED.

%% For the handshakes that come.
-spec member_set_cookie(member(), binary()) -> ok.
member_set_cookie(_Member, _Cookie) -> ?NOT_LOADED.

%% `joined': it is not the only member of its cluster, and goes on as it was; else it is stopped.
-spec member_rename(member(), map(), New :: binary()) ->
          {ok, member()} | {error, joined | term()}.
member_rename(_Member, _Config, _New) -> ?NOT_LOADED.

-spec member_recover(member(), Old :: binary(), New :: binary()) ->
          {ok, member(), LastLogIndex :: non_neg_integer()} | {error, term()}.
member_recover(_Member, _Old, _New) -> ?NOT_LOADED.

%% All stop the member; the second keeps its files under other names, the third erases it only if
%% its log never had an entry.
-spec member_erase(member()) -> ok | {error, term()}.
member_erase(_Member) -> ?NOT_LOADED.

-spec member_set_aside(member()) -> {ok, Prefix :: binary()} | {error, term()}.
member_set_aside(_Member) -> ?NOT_LOADED.

-spec member_abandon(member()) -> ok | {error, joined | term()}.
member_abandon(_Member) -> ?NOT_LOADED.

-spec folder_look(DataDir :: binary()) -> none | {ok, Cluster :: binary()} | {error, term()}.
folder_look(_DataDir) -> ?NOT_LOADED.

%% Cluster: the only one whose data are erased; empty: any.
-spec folder_erase(DataDir :: binary(), Cluster :: binary()) -> ok | {error, term()}.
folder_erase(_DataDir, _Cluster) -> ?NOT_LOADED.

%% Writes. The answer is `{ok, Revision}', with that of the state after it; of a transaction
%% `{ran, Succeeded, Revision, [none | held()] | forgotten}', with a result for each get and count
%% that was run (`forgotten': it was sent again and is done, and the results were too many to be
%% remembered); of a range `{deleted, Revision, Count}'; of all `{error, Reason}'. Those that are
%% named `large' are the same on a dirty scheduler.
-spec put(member(), reference(), Table :: binary(), term(), binary(), non_neg_integer()) ->
          reply().
put(_Member, _Ref, _Table, _Key, _Value, _TimeoutMs) -> ?NOT_LOADED.

-spec put_large(member(), reference(), Table :: binary(), term(), binary(), non_neg_integer()) ->
          reply().
put_large(_Member, _Ref, _Table, _Key, _Value, _TimeoutMs) -> ?NOT_LOADED.

-spec delete(member(), reference(), Table :: binary(), term(), non_neg_integer()) -> reply().
delete(_Member, _Ref, _Table, _Key, _TimeoutMs) -> ?NOT_LOADED.

%% All in one log entry, the puts first; for lists of which one is not empty.
-spec write_many(member(), reference(), Table :: binary(),
                 {Puts :: [{term(), binary()}], ram:ttl()}, Deletes :: [term()],
                 non_neg_integer()) -> reply().
write_many(_Member, _Ref, _Table, _Puts, _Deletes, _TimeoutMs) -> ?NOT_LOADED.

-spec transaction(member(), reference(), Table :: binary(),
                  {If :: [condition()], Then :: [command()], Otherwise :: [command()]},
                  non_neg_integer()) -> reply().
transaction(_Member, _Ref, _Table, _Parts, _TimeoutMs) -> ?NOT_LOADED.

%% Takes keys of any length, too.
-spec transaction_large(member(), reference(), Table :: binary(),
                        {If :: [condition()], Then :: [command()], Otherwise :: [command()]},
                        non_neg_integer()) -> reply().
transaction_large(_Member, _Ref, _Table, _Parts, _TimeoutMs) -> ?NOT_LOADED.

-spec delete_range(member(), reference(), Table :: binary(), key_range(), non_neg_integer()) ->
          reply().
delete_range(_Member, _Ref, _Table, _Range, _TimeoutMs) -> ?NOT_LOADED.

-spec change_table(member(), reference(),
                   {create, Table :: binary(), set | ordered_set} | {drop, Table :: binary()},
                   non_neg_integer()) -> reply().
change_table(_Member, _Ref, _Change, _TimeoutMs) -> ?NOT_LOADED.

%% An owner of this node for a put, and one of another node; the latter as an answer, `{owner,
%% binary()}'. Named by their external term format.
-spec owner_here(member(), Name :: binary()) -> binary().
owner_here(_Member, _Name) -> ?NOT_LOADED.

-spec owner(member(), reference(), Node :: binary(), Name :: binary(), non_neg_integer()) ->
          reply().
owner(_Member, _Ref, _Node, _Name, _TimeoutMs) -> ?NOT_LOADED.

%% A turn at a contended key, for an update of it: `{turn, hint()}', with what the key is expected
%% to hold then, or `{error, timeout}' where there is none. Over when a write of this node that
%% changes the key has reached the leader, when it is given back, and after a moment.
-spec turn(member(), reference(), Table :: binary(), term(), non_neg_integer()) -> reply().
turn(_Member, _Ref, _Table, _Key, _TimeoutMs) -> ?NOT_LOADED.

-spec give_turn_back(member(), Table :: binary(), term()) -> ok | {error, term()}.
give_turn_back(_Member, _Table, _Key) -> ?NOT_LOADED.

%% Takes the place of a key in the calls of this module that answered `{error, {bad_key, long}}':
%% encoding it holds a scheduler for too long. Only for the next call.
-spec long_key(member(), term()) -> {ok, reference()} | {error, term()}.
long_key(_Member, _Key) -> ?NOT_LOADED.

%% Answered in the call: from the table of this node, if it may. `ask': it may not at this moment,
%% and read/5 has to be asked. `encoded': a value so large that it is decoded by the caller.
-spec fetch_now(member(), term(), ram:reads()) ->
          {ok, term()} | error | {encoded, binary()} | ask | {error, term()}.
fetch_now(_Member, _Key, _Reads) -> ?NOT_LOADED.

%% The value, or the default; or `'ram fetch'': fetch_now/3 has to be asked.
-spec get_now(member(), term(), Default :: term(), ram:reads()) -> term().
get_now(_Member, _Key, _Default, _Reads) -> ?NOT_LOADED.

%% As get_now/4, of a table; or `'ram fetch'': lookup_now/4 has to be asked.
-spec get_in_now(member(), Table :: binary(), term(), Default :: term(), ram:reads()) -> term().
get_in_now(_Member, _Table, _Key, _Default, _Reads) -> ?NOT_LOADED.

-spec read(member(), reference(), term(), ram:reads(), non_neg_integer()) -> reply().
read(_Member, _Ref, _Key, _Reads, _TimeoutMs) -> ?NOT_LOADED.

-spec sync(member(), reference(), non_neg_integer()) -> reply().
sync(_Member, _Ref, _TimeoutMs) -> ?NOT_LOADED.

-spec change(member(), reference(), change(), non_neg_integer()) -> reply().
change(_Member, _Ref, _Change, _TimeoutMs) -> ?NOT_LOADED.

%% Are these members where they are said to be, and are they who they are said to be? The answer is
%% `{ok, [ok | {unreached, cause(), Text :: binary()}]}', in the order of the question. The address
%% is taken down, as by member_set_address/3, and the connection is the one that requests will use.
-spec reach(member(), reference(), [{Id :: pos_integer(), Address :: binary()}],
            LimitMs :: non_neg_integer()) -> reply().
reach(_Member, _Ref, _Peers, _LimitMs) -> ?NOT_LOADED.

%% The answer comes when the file is done, whatever its size; the time limit is of each step that
%% needs the cluster.
-spec backup(member(), reference(), Path :: binary(), non_neg_integer()) -> reply().
backup(_Member, _Ref, _Path, _TimeoutMs) -> ?NOT_LOADED.

-spec restore(member(), reference(), Path :: binary(), non_neg_integer()) -> reply().
restore(_Member, _Ref, _Path, _TimeoutMs) -> ?NOT_LOADED.

-spec cancel(member(), non_neg_integer()) -> boolean().
cancel(_Member, _Id) -> ?NOT_LOADED.

%%% Reads with options: `ask' means that this node may not answer at this moment, and the function
%%% of the same name without `_now' has to be asked. Tables are named by their UTF-8, the default
%%% one by an empty binary.

-type fresh() :: {ram:reads(), AtLeast :: non_neg_integer()}.
-type item() :: none
              | {value, term(), item_meta()}
                %% To be decoded by the caller.
              | {encoded, binary(), item_meta()}.
-type item_meta() :: {Revision :: pos_integer(), CreatedRevision :: pos_integer(),
                      Version :: pos_integer(), Left :: ram:left(),
                      ram:owner() | none}.
-type key_range() :: {unbounded | {including | excluding, Key :: term()},
                      unbounded | {including | excluding, Key :: term()}}
                   | {prefix, term()}
                     %% Holds nothing.
                   | empty.
-type page_options() :: {Reverse :: boolean(), KeysOnly :: boolean(), Limit :: pos_integer()}.
%% Among mixed entries are `{'ram encoded', Key, Binary}' and `{'ram unreadable', Key :: binary()}'.
-type entries() :: {items | mixed, [term()], IsMore :: boolean()}.
-type scan() :: reference().
-type cursor() :: start | {at, non_neg_integer(), non_neg_integer()} | {'after', binary()}.

-spec lookup_now(member(), Table :: binary(), Key :: term(), fresh()) ->
          item() | ask | {error, term()}.
lookup_now(_Member, _Table, _Key, _Fresh) -> ?NOT_LOADED.

-spec lookup(member(), reference(), Table :: binary(), Key :: term(), fresh(),
             non_neg_integer()) -> reply().
lookup(_Member, _Ref, _Table, _Key, _Fresh, _TimeoutMs) -> ?NOT_LOADED.

%% `{error, {bad_key, long}}': get_many/6 takes keys that would hold a scheduler.
-spec get_many_now(member(), Table :: binary(), Keys :: [term()], fresh()) ->
          {items, [item()]} | ask | {error, term()}.
get_many_now(_Member, _Table, _Keys, _Fresh) -> ?NOT_LOADED.

-spec get_many(member(), reference(), Table :: binary(), Keys :: [term()], fresh(),
               non_neg_integer()) -> reply().
get_many(_Member, _Ref, _Table, _Keys, _Fresh, _TimeoutMs) -> ?NOT_LOADED.

%% `{error, {bad_key, long}}': range/7 takes ends that would hold a scheduler.
-spec range_now(member(), Table :: binary(), key_range(), page_options(), fresh()) ->
          entries() | ask | {error, term()}.
range_now(_Member, _Table, _Range, _Options, _Fresh) -> ?NOT_LOADED.

-spec range(member(), reference(), Table :: binary(), {key_range(), page_options()}, fresh(),
            non_neg_integer()) -> reply().
range(_Member, _Ref, _Table, _RangeAndOptions, _Fresh, _TimeoutMs) -> ?NOT_LOADED.

-spec info_now(member(), Table :: binary(), fresh()) ->
          {ok, set | ordered_set, Entries :: non_neg_integer(), Bytes :: non_neg_integer()}
        | ask | {error, term()}.
info_now(_Member, _Table, _Fresh) -> ?NOT_LOADED.

-spec info(member(), reference(), Table :: binary(), fresh(), non_neg_integer()) -> reply().
info(_Member, _Ref, _Table, _Fresh, _TimeoutMs) -> ?NOT_LOADED.

-spec tables_now(member(), fresh()) -> {ok, [binary()]} | ask | {error, term()}.
tables_now(_Member, _Fresh) -> ?NOT_LOADED.

-spec tables(member(), reference(), fresh(), non_neg_integer()) -> reply().
tables(_Member, _Ref, _Fresh, _TimeoutMs) -> ?NOT_LOADED.

%% Opens a scan of a table, or of all.
-spec scan_now(member(), Table :: binary() | all, fresh()) ->
          {ok, scan(), Revision :: non_neg_integer()} | ask | {error, term()}.
scan_now(_Member, _Which, _Fresh) -> ?NOT_LOADED.

-spec scan(member(), reference(), Table :: binary() | all, fresh(), non_neg_integer()) -> reply().
scan(_Member, _Ref, _Which, _Fresh, _TimeoutMs) -> ?NOT_LOADED.

-spec scan_page(member(), {scan(), Table :: binary()}, cursor(), key_range() | all,
                page_options()) ->
          {items | mixed, [term()], cursor() | done} | expired | {error, term()}.
scan_page(_Member, _Scan, _Cursor, _Range, _Options) -> ?NOT_LOADED.

-spec scan_get(member(), {scan(), Table :: binary()}, Key :: term()) ->
          item() | no_table | expired | {error, term()}.
scan_get(_Member, _Scan, _Key) -> ?NOT_LOADED.

-spec scan_type(scan(), Table :: binary()) -> set | ordered_set | no_table | expired.
scan_type(_Scan, _Table) -> ?NOT_LOADED.

-spec scan_close(scan()) -> ok.
scan_close(_Scan) -> ?NOT_LOADED.

%% Begins a watch. The answer is `{ok, Watch, Revision}', `{error, {compacted, OldestRevision}}' or
%% another error; `upside_down' is a range.
-spec watch(member(), reference(), {Table :: binary(), all | {key, term()} | key_range()},
            {To :: pid(), From :: pos_integer() | none, Initial :: boolean(), Old :: boolean(),
             EventsMax :: pos_integer(), BytesMax :: pos_integer(), MayWait :: boolean()},
            lease | quorum, non_neg_integer()) -> reply().
watch(_Member, _Ref, _TableAndKeys, _Options, _Reads, _TimeoutMs) -> ?NOT_LOADED.

%% Nothing is sent any more when it has returned.
-spec unwatch(reference()) -> ok.
unwatch(_Watch) -> ?NOT_LOADED.

-spec watch_ack(reference(), non_neg_integer()) -> ok.
watch_ack(_Watch, _Revision) -> ?NOT_LOADED.

%% The key of a term: bytes that are equal, and sort, as the terms do. badarg for a fun that is not
%% fun M:F/A, and for a key above 1 MiB.
-spec key_encode(term()) -> binary().
key_encode(_Term) -> ?NOT_LOADED.

%% The term of a key; badarg for other bytes. `unreadable_key': the OTP of this node has no such
%% term, a newer one has.
-spec key_decode(binary()) -> term().
key_decode(_Key) -> ?NOT_LOADED.

%% Whether two values, in external term format, are identical. As keys, values of the store are
%% judged without the virtual machine; this is for tests.
-spec value_same(binary(), binary()) -> boolean().
value_same(_One, _Other) -> ?NOT_LOADED.

%% What a counter becomes, in external term format; `none' for the value of an absent key, for no
%% limit, and when the value is no integer. For tests, too.
-spec value_count(binary() | none, Incr :: integer(), Default :: integer(),
                  {Threshold :: integer(), SetTo :: integer()} | none) -> binary() | none.
value_count(_Current, _Incr, _Default, _Limit) -> ?NOT_LOADED.
