%% Requests to the member of this node, made and awaited in the calling process; called by ram and
%% by what forms and changes clusters. Counterpart of request.rs.
%%
%% Operations on keys have the names and arguments of those of ram, and raise as these: whatever
%% fails is given the call of the user.
%%
%% The member is a persistent term, so no process stands between a caller and the queue of requests.
%% The reference of a request is made in the function that receives, so that a long mailbox is not
%% searched. A caller whose time is over cancels its request: either no answer will come, or the
%% answer is certain and is waited for; no stray message is left.
-module(ram_request).

-export([set_member/3, clear_member/0, member/0]).
-export([get/1, get/2, get/3, fetch/1, fetch/2]).
-export([put/2, put_many/1, delete/1, delete_many/1, update/3]).
-export([sync/0, sync/1, change/2, reach/2, status/0, timeout_ms/0]).
-export([backup/1, restore/1]).

%% A call less each: about 1 % of a get.
-compile({no_auto_import, [get/1]}).
-compile({inline, [running/1, member/0, now_or_later/2]}).

%% An atom: the key of a persistent term is hashed for each read.
-define(KEY, ram_member).
%% Values above this are copied on a dirty scheduler.
-define(LARGE_BYTES, 262144).
%% The time limit of a step of a backup or a restore, and of a node's catching up with its cluster,
%% in time limits of a request: losing a leader costs it time only.
-define(STEP_TIMEOUTS, 6).

-type member() :: {ram_nif:member(), CallTimeoutMs :: pos_integer(), ram:reads()}.

-spec set_member(ram_nif:member(), pos_integer(), ram:reads()) -> ok.
set_member(Member, TimeoutMs, Reads) ->
    persistent_term:put(?KEY, {Member, TimeoutMs, Reads}).

-spec clear_member() -> boolean().
clear_member() ->
    persistent_term:erase(?KEY).

-spec member() -> member() | undefined.
member() ->
    persistent_term:get(?KEY, undefined).

-spec timeout_ms() -> pos_integer().
timeout_ms() ->
    {_Member, TimeoutMs, _Reads} = running(),
    TimeoutMs.

%% As fetch/1, without a tuple around what is there. Most reads are such and end in the first call:
%% little is kept on the stack for the others, and what they may raise is made for them alone.
-spec get(term()) -> term() | undefined.
get(Key) ->
    case now_or_later(Key, undefined) of
        'ram fetch' -> get_later(Key, undefined, {get, [Key]});
        Value -> Value
    end.

-spec get(term(), Default :: term()) -> term().
get(Key, Default) ->
    case now_or_later(Key, Default) of
        'ram fetch' -> get_later(Key, Default, {get, [Key, Default]});
        Value -> Value
    end.

-spec get(term(), Default :: term(), ram:read_options()) -> term().
get(Key, Default, Options) ->
    Call = {get, [Key, Default, Options]},
    {Member, _TimeoutMs, Reads} = Running = running(Options, Call),
    case ram_nif:get_now(Member, Key, Default, Reads) of
        'ram fetch' -> value(fetch_by(Running, Key, Call), Default);
        Value -> Value
    end.

now_or_later(Key, Default) ->
    case member() of
        {Member, _TimeoutMs, Reads} -> ram_nif:get_now(Member, Key, Default, Reads);
        undefined -> 'ram fetch'
    end.

get_later(Key, Default, Call) ->
    value(fetch_by(running(Call), Key, Call), Default).

value({ok, Value}, _Default) -> Value;
value(error, Default) -> Default.

-spec fetch(term()) -> {ok, term()} | error.
fetch(Key) ->
    case member() of
        {Member, _TimeoutMs, Reads} = Running ->
            case ram_nif:fetch_now(Member, Key, Reads) of
                {ok, _Value} = Found -> Found;
                error -> error;
                Other -> fetched(Other, Running, Key, {fetch, [Key]})
            end;
        undefined ->
            ram_error:failure(noproc, {fetch, [Key]})
    end.

-spec fetch(term(), ram:read_options()) -> {ok, term()} | error.
fetch(Key, Options) ->
    Call = {fetch, [Key, Options]},
    fetch_by(running(Options, Call), Key, Call).

running(Options, Call) ->
    {Member, TimeoutMs, Configured} = running(Call),
    {Member, TimeoutMs, reads(Options, Configured, Call)}.

reads(#{reads := Reads} = Options, Configured, Call) when map_size(Options) =:= 1 ->
    case ram_config:reads(Reads) of
        ok -> Reads;
        {error, _} -> checked_reads(Options, Configured, Call)
    end;
reads(Options, Configured, _Call) when Options =:= #{} ->
    Configured;
reads(Options, Configured, Call) ->
    checked_reads(Options, Configured, Call).

checked_reads(Options, Configured, Call) ->
    Checked = ram_arguments:options(Options, #{reads => fun ram_config:reads/1}, Call),
    maps:get(reads, Checked, Configured).

fetch_by({Member, _TimeoutMs, Reads} = Running, Key, Call) ->
    fetched(ram_nif:fetch_now(Member, Key, Reads), Running, Key, Call).

%% Most reads by lease end in the call; the others wait for the key, or for a quorum.
fetched(Answer, {Member, TimeoutMs, Reads}, Key, Call) ->
    case Answer of
        {ok, _Value} -> Answer;
        error -> error;
        {encoded, Binary} -> {ok, decoded(Binary, Key, Call)};
        ask -> wait(Member, Key, TimeoutMs, Reads, Call);
        {error, {bad_key, long}} -> fetch_long(Member, Key, TimeoutMs, Reads, Call);
        {error, _} -> checked(Answer, Call)
    end.

fetch_long(Member, Key, TimeoutMs, Reads, Call) ->
    Fetch = fun(Encoded) -> ram_nif:fetch_now(Member, Encoded, Reads) end,
    case checked(by_long_key(Member, Key, Fetch), Call) of
        {encoded, Binary} -> {ok, decoded(Binary, Key, Call)};
        ask -> wait(Member, Key, TimeoutMs, Reads, Call);
        Found -> Found
    end.

wait(Member, Key, TimeoutMs, Reads, Call) ->
    case checked(read(Member, Key, TimeoutMs, Reads), Call) of
        {value, Value, _Revision} -> {ok, Value};
        {encoded, Binary, _Revision} -> {ok, decoded(Binary, Key, Call)};
        none -> error
    end.

%% A node with a newer OTP may have put a value for which this OTP has no term.
decoded(Binary, Key, Call) ->
    try binary_to_term(Binary)
    catch error:badarg -> ram_error:failure({unreadable_value, Key}, Call)
    end.

-spec put(term(), term()) -> ok.
put(Key, Value) ->
    Call = {put, [Key, Value]},
    {Member, TimeoutMs, _} = running(Call),
    Binary = term_to_binary(Value),
    Put = fun(Ref, Encoded) when byte_size(Binary) > ?LARGE_BYTES ->
                  ram_nif:put_large(Member, Ref, Encoded, Binary, TimeoutMs);
             (Ref, Encoded) ->
                  ram_nif:put(Member, Ref, Encoded, Binary, TimeoutMs)
          end,
    {ok, _Revision} = checked(call(Member, Key, Put, TimeoutMs), Call),
    ok.

-spec delete(term()) -> ok.
delete(Key) ->
    Call = {delete, [Key]},
    {Member, TimeoutMs, _} = running(Call),
    Delete = fun(Ref, Encoded) -> ram_nif:delete(Member, Ref, Encoded, TimeoutMs) end,
    {ok, _Revision} = checked(call(Member, Key, Delete, TimeoutMs), Call),
    ok.

%% @doc In the order of the list, so the last value of a key stays.
-spec put_many([{term(), term()}]) -> ok.
put_many(Entries) ->
    Puts = [{Key, term_to_binary(Value)} || {Key, Value} <- Entries],
    write_many(Puts, [], {put_many, [Entries]}).

-spec delete_many([term()]) -> ok.
delete_many(Keys) ->
    write_many([], Keys, {delete_many, [Keys]}).

write_many([], [], Call) ->
    _ = running(Call),
    ok;
write_many(Puts, Deletes, Call) ->
    {Member, TimeoutMs, _} = running(Call),
    Write = fun(Ref) -> ram_nif:write_many(Member, Ref, Puts, Deletes, TimeoutMs) end,
    {ok, _Revision} = checked(call(Member, Write, TimeoutMs), Call),
    ok.

-spec update(term(), term(), fun((term()) -> term())) -> ok.
update(Key, Default, Fun) ->
    Call = {update, [Key, Default, Fun]},
    {Member, TimeoutMs, Configured} = running(Call),
    Reads = linearizable(Configured),
    Access = #{read => fun(LimitMs) -> read_encoded(Member, Key, LimitMs, Reads) end,
               set => fun(Expect, Binary, LimitMs) ->
                              compare_and_set(Member, Key, Expect, Binary, LimitMs)
                      end},
    Change = fun(none) -> term_to_binary(Default);
                (Binary) -> term_to_binary(Fun(decoded(Binary, Key, Call)))
             end,
    checked(ram_update:run(Key, TimeoutMs, Access, Change), Call).

%% An old value would do no harm, since it is compared; but Fun would be called for it in vain.
linearizable(local) -> quorum;
linearizable(Reads) -> Reads.

compare_and_set(Member, Key, Expect, Binary, TimeoutMs) ->
    Set = fun(Ref, Encoded) when byte_size(Binary) > ?LARGE_BYTES ->
                  ram_nif:compare_and_set_large(Member, Ref, Encoded, Expect, Binary, TimeoutMs);
             (Ref, Encoded) ->
                  ram_nif:compare_and_set(Member, Ref, Encoded, Expect, Binary, TimeoutMs)
          end,
    call(Member, Key, Set, TimeoutMs).

%% @doc Waits until this node has applied all that was acknowledged anywhere before the call.
-spec sync() -> ok | {error, term()}.
sync() ->
    sync(?STEP_TIMEOUTS * timeout_ms()).

-spec sync(pos_integer()) -> ok | {error, term()}.
sync(TimeoutMs) ->
    {Member, _, _} = running(),
    call(Member, fun(Ref) -> ram_nif:sync(Member, Ref, TimeoutMs) end, TimeoutMs).

-spec change(ram_nif:change(), pos_integer()) -> ok | {error, term()}.
change(Change, TimeoutMs) ->
    {Member, _, _} = running(),
    call(Member, fun(Ref) -> ram_nif:change(Member, Ref, Change, TimeoutMs) end, TimeoutMs).

%% @doc Are these members at these addresses? Each answer tells why not, within the limit; they have
%% the order of the question.
-spec reach([{pos_integer(), binary()}], pos_integer()) ->
          {ok, [ok | {unreached, ram_nif:cause(), binary()}]} | {error, term()}.
reach(Peers, LimitMs) ->
    {Member, TimeoutMs, _} = running(),
    Reach = fun(Ref) -> ram_nif:reach(Member, Ref, Peers, LimitMs) end,
    call(Member, Reach, LimitMs + TimeoutMs).

-spec backup(binary()) -> ok | {error, ram_error:cluster_error()}.
backup(Path) ->
    with_file(fun ram_nif:backup/4, Path).

-spec restore(binary()) -> ok | {error, ram_error:cluster_error()}.
restore(Path) ->
    with_file(fun ram_nif:restore/4, Path).

%% How long it takes depends on the size of the file, so the caller waits without a limit.
with_file(Function, Path) ->
    {Member, TimeoutMs, _} = running(),
    Submit = fun(Ref) -> Function(Member, Ref, Path, ?STEP_TIMEOUTS * TimeoutMs) end,
    case call(Member, Submit, infinity) of
        ok -> ok;
        {error, Reason} -> {error, ram_error:cluster(Reason)}
    end.

-spec status() -> map().
status() ->
    {Member, _, _} = running(),
    case ram_nif:member_status(Member) of
        {ok, Status} -> Status;
        {error, Reason} -> ram_error:failure(Reason)
    end.

read(Member, Key, TimeoutMs, Reads) ->
    Read = fun(Ref, Encoded) -> ram_nif:read(Member, Ref, Encoded, Reads, TimeoutMs) end,
    call(Member, Key, Read, TimeoutMs).

%% Updates pass values on as binaries.
read_encoded(Member, Key, TimeoutMs, Reads) ->
    case read(Member, Key, TimeoutMs, Reads) of
        {value, Value, Revision} -> {value, term_to_binary(Value), Revision};
        {encoded, Binary, Revision} -> {value, Binary, Revision};
        Other -> Other
    end.

call(Member, Key, Submit, TimeoutMs) ->
    case call(Member, fun(Ref) -> Submit(Ref, Key) end, TimeoutMs) of
        {error, {bad_key, long}} ->
            by_long_key(Member, Key, fun(Encoded) ->
                call(Member, fun(Ref) -> Submit(Ref, Encoded) end, TimeoutMs)
            end);
        Result ->
            Result
    end.

%% A key that would hold a scheduler is encoded on a dirty one.
by_long_key(Member, Key, Call) ->
    case ram_nif:long_key(Member, Key) of
        {ok, Encoded} -> Call(Encoded);
        {error, _} = Error -> Error
    end.

call(Member, Submit, TimeoutMs) ->
    Ref = make_ref(),
    case Submit(Ref) of
        {ok, Id} ->
            receive
                {Ref, Result} -> Result
            after TimeoutMs ->
                case ram_nif:cancel(Member, Id) of
                    true -> {error, timeout};
                    false -> receive {Ref, Result} -> Result end
                end
            end;
        {error, _} = Error ->
            Error
    end.

%% For callers inside: whatever ram raises for them is raised again as of the user's call.
-spec running() -> member().
running() ->
    case member() of
        undefined -> ram_error:failure(noproc);
        Member -> Member
    end.

running(Call) ->
    case member() of
        undefined -> ram_error:failure(noproc, Call);
        Member -> Member
    end.

checked({error, {bad_key, local_fun}}, Call) ->
    ram_error:badarg(Call, 1, "a key must not hold a local fun");
checked({error, {bad_key, too_deep}}, Call) ->
    Why = "maps in map keys, or native records, are nested too deep in this key",
    ram_error:badarg(Call, 1, Why);
checked({error, Reason}, Call) ->
    ram_error:failure(Reason, Call);
checked(Result, _Call) ->
    Result.
