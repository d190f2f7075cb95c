%% Requests to the member of this node, made and awaited in the calling process; called by ram and
%% by what forms and changes clusters. Counterpart of request.rs.
%%
%% The member is a persistent term, so no process stands between a caller and the queue of requests.
%% The reference of a request is made in the function that receives, so that a long mailbox is not
%% searched. A caller whose time is over cancels its request: either no answer will come, or the
%% answer is certain and is waited for; no stray message is left.
-module(ram_request).

-export([set_member/3, clear_member/0, member/0]).
-export([get/2, get/4, fetch/1, fetch/3, put/2, put_many/1, delete/1, delete_many/1, update/3]).
-export([sync/0, sync/1, change/2, reach/2, status/0, timeout_ms/0]).
-export([backup/1, restore/1]).

%% A call less each: about 1 % of a get.
-compile({inline, [running/0, member/0, get_by/3]}).

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

%% @doc As fetch/1, without a tuple around what is there. Most reads are such and end in the first
%% call: little is kept on the stack for the others.
-spec get(term(), Default :: term()) -> term().
get(Key, Default) ->
    get_by(running(), Key, Default).

%% @doc The options are the last of the caller's arguments.
-spec get(term(), Default :: term(), ram:read_options(), Arguments :: [term()]) -> term().
get(Key, Default, Options, Arguments) ->
    get_by(running(Options, Arguments), Key, Default).

get_by({Member, _TimeoutMs, Reads} = Running, Key, Default) ->
    case ram_nif:get_now(Member, Key, Default, Reads) of
        'ram fetch' ->
            case fetch_by(Running, Key) of
                {ok, Value} -> Value;
                error -> Default
            end;
        Value ->
            Value
    end.

-spec fetch(term()) -> {ok, term()} | error.
fetch(Key) ->
    fetch_by(running(), Key).

%% @doc The options are the last of the caller's arguments.
-spec fetch(term(), ram:read_options(), Arguments :: [term()]) -> {ok, term()} | error.
fetch(Key, Options, Arguments) ->
    fetch_by(running(Options, Arguments), Key).

running(Options, Arguments) ->
    {Member, TimeoutMs, Configured} = running(),
    {Member, TimeoutMs, reads(Options, Configured, Arguments)}.

reads(#{reads := Reads} = Options, _Configured, Arguments) when map_size(Options) =:= 1 ->
    case ram_config:reads(Reads) of
        ok -> Reads;
        {error, Why} -> ram_error:badarg(Arguments, length(Arguments), ["reads: ", Why])
    end;
reads(Options, Configured, _Arguments) when Options =:= #{} ->
    Configured;
reads(_Options, _Configured, Arguments) ->
    ram_error:badarg(Arguments, length(Arguments), "must be a map with no key but reads").

%% Most reads by lease end in the call; the others wait for the key, or for a quorum.
fetch_by({Member, TimeoutMs, Reads}, Key) ->
    case ram_nif:fetch_now(Member, Key, Reads) of
        {ok, _Value} = Found -> Found;
        error -> error;
        {encoded, Binary} -> {ok, decoded(Binary, Key)};
        ask -> wait(Member, Key, TimeoutMs, Reads);
        {error, {bad_key, long}} -> fetch_long(Member, Key, TimeoutMs, Reads);
        {error, _} = Error -> checked(Error, [Key])
    end.

fetch_long(Member, Key, TimeoutMs, Reads) ->
    Fetch = fun(Encoded) -> ram_nif:fetch_now(Member, Encoded, Reads) end,
    case checked(by_long_key(Member, Key, Fetch), [Key]) of
        {encoded, Binary} -> {ok, decoded(Binary, Key)};
        ask -> wait(Member, Key, TimeoutMs, Reads);
        Found -> Found
    end.

wait(Member, Key, TimeoutMs, Reads) ->
    case checked(read(Member, Key, TimeoutMs, Reads), [Key]) of
        {value, Value, _Revision} -> {ok, Value};
        {encoded, Binary, _Revision} -> {ok, decoded(Binary, Key)};
        none -> error
    end.

%% A node with a newer OTP may have put a value for which this OTP has no term.
decoded(Binary, Key) ->
    try binary_to_term(Binary)
    catch error:badarg -> ram_error:failure({unreadable_value, Key})
    end.

-spec put(term(), term()) -> ok.
put(Key, Value) ->
    {Member, TimeoutMs, _} = running(),
    Binary = term_to_binary(Value),
    Put = fun(Ref, Encoded) when byte_size(Binary) > ?LARGE_BYTES ->
                  ram_nif:put_large(Member, Ref, Encoded, Binary, TimeoutMs);
             (Ref, Encoded) ->
                  ram_nif:put(Member, Ref, Encoded, Binary, TimeoutMs)
          end,
    {ok, _Revision} = checked(call(Member, Key, Put, TimeoutMs), [Key, Value]),
    ok.

-spec delete(term()) -> ok.
delete(Key) ->
    {Member, TimeoutMs, _} = running(),
    Delete = fun(Ref, Encoded) -> ram_nif:delete(Member, Ref, Encoded, TimeoutMs) end,
    {ok, _Revision} = checked(call(Member, Key, Delete, TimeoutMs), [Key]),
    ok.

%% @doc In the order of the list, so the last value of a key stays.
-spec put_many([{term(), term()}]) -> ok.
put_many(Entries) ->
    write_many([{Key, term_to_binary(Value)} || {Key, Value} <- Entries], [], [Entries]).

-spec delete_many([term()]) -> ok.
delete_many(Keys) ->
    write_many([], Keys, [Keys]).

write_many([], [], _Arguments) ->
    _ = running(),
    ok;
write_many(Puts, Deletes, Arguments) ->
    {Member, TimeoutMs, _} = running(),
    Write = fun(Ref) -> ram_nif:write_many(Member, Ref, Puts, Deletes, TimeoutMs) end,
    {ok, _Revision} = checked(call(Member, Write, TimeoutMs), Arguments),
    ok.

-spec update(term(), term(), fun((term()) -> term())) -> ok.
update(Key, Default, Fun) ->
    {Member, TimeoutMs, Configured} = running(),
    Reads = linearizable(Configured),
    Access = #{read => fun(LimitMs) -> read_encoded(Member, Key, LimitMs, Reads) end,
               set => fun(Expect, Binary, LimitMs) ->
                              compare_and_set(Member, Key, Expect, Binary, LimitMs)
                      end},
    Change = fun(none) -> term_to_binary(Default);
                (Binary) -> term_to_binary(Fun(decoded(Binary, Key)))
             end,
    checked(ram_update:run(Key, TimeoutMs, Access, Change), [Key, Default, Fun]).

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
    {ok, Status} = checked(ram_nif:member_status(Member), []),
    Status.

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

-spec running() -> member().
running() ->
    case member() of
        undefined -> ram_error:failure(noproc);
        Member -> Member
    end.

checked({error, {bad_key, local_fun}}, Arguments) ->
    ram_error:badarg(Arguments, 1, "a key must not hold a local fun");
checked({error, {bad_key, too_deep}}, Arguments) ->
    Why = "maps in map keys, or native records, are nested too deep in this key",
    ram_error:badarg(Arguments, 1, Why);
checked({error, Reason}, _Arguments) ->
    ram_error:failure(Reason);
checked(Result, _Arguments) ->
    Result.
