%% Requests to the member of this node, made and awaited in the calling process: what ram_read and
%% ram_write share, and requests of whatever forms and changes clusters. Counterpart of request/.
%%
%% The member is a persistent term, so no process stands between a caller and the queue of requests.
%% The reference of a request is made in the function that receives, so that a long mailbox is not
%% searched. A caller whose time is over cancels its request: either no answer will come, or the
%% answer is certain and is waited for; no stray message is left.
%%
%% What fails for a user is raised as of the call of ram that the user made, which is handed down.
-module(ram_request).

-export([set_member/3, clear_member/0, member/0]).
-export([running/1, call/3, call/4, by_long_key/3, is_key/1]).
-export([checked/2, bad_key/4, decoded/3, decoded/4, meta/1]).
-export([sync/0, sync/1, change/2, reach/2, status/0, timeout_ms/0]).
-export([backup/1, restore/1]).
-export_type([member/0]).

%% An atom: the key of a persistent term is hashed for each read. ram_read has it too.
-define(KEY, ram_member).
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

%% @doc Makes a request of this key and waits for its answer.
-spec call(ram_nif:member(), Key :: term(), fun((reference(), Key :: term()) -> ram_nif:reply()),
           timeout()) -> term().
call(Member, Key, Submit, TimeoutMs) ->
    case call(Member, fun(Ref) -> Submit(Ref, Key) end, TimeoutMs) of
        {error, {bad_key, long}} ->
            by_long_key(Member, Key, fun(Encoded) ->
                call(Member, fun(Ref) -> Submit(Ref, Encoded) end, TimeoutMs)
            end);
        Result ->
            Result
    end.

%% @doc A key that would hold a scheduler is encoded on a dirty one.
-spec by_long_key(ram_nif:member(), Key :: term(), fun((Key :: term()) -> Answer)) ->
          Answer | {error, term()}.
by_long_key(Member, Key, Call) ->
    case ram_nif:long_key(Member, Key) of
        {ok, Encoded} -> Call(Encoded);
        {error, _} = Error -> Error
    end.

-spec call(ram_nif:member(), fun((reference()) -> ram_nif:reply()), timeout()) -> term().
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

-spec running(ram_error:call()) -> member().
running(Call) ->
    case member() of
        undefined -> ram_error:failure(noproc, Call);
        Member -> Member
    end.

%% @doc Whether the library takes it as a key. Not for large ones.
-spec is_key(term()) -> boolean().
is_key(Term) ->
    try is_binary(ram_nif:key_encode(Term))
    catch error:badarg -> false
    end.

%% @doc The answer of a request, unless it failed. A key is the first argument of the call.
-spec checked(Answer, ram_error:call()) -> Answer.
checked({error, {bad_key, Why}}, Call) ->
    bad_key(Why, 1, "", Call);
checked({error, {not_ordered, Name}}, Call) ->
    Text = ["the table ", table(Name), " is a set and has no order; this needs an ordered_set"],
    ram_error:badarg(Call, general, Text);
checked({error, {no_table, Name}}, Call) ->
    ram_error:failure({no_table, binary_to_atom(table(Name))}, Call);
checked({error, Reason}, Call) ->
    ram_error:failure(Reason, Call);
checked(Result, _Call) ->
    Result.

table(<<>>) -> <<"default">>;
table(Name) -> Name.

%% @doc Raises badarg for a key in this argument; `Where' says where in there.
-spec bad_key(local_fun | too_deep, Position :: pos_integer(), Where :: unicode:chardata(),
              ram_error:call()) -> no_return().
bad_key(local_fun, Position, Where, Call) ->
    ram_error:badarg(Call, Position, [Where, "a key must not hold a local fun"]);
bad_key(too_deep, Position, Where, Call) ->
    Why = "maps in map keys, or native records, are nested too deep in this key",
    ram_error:badarg(Call, Position, [Where, Why]).

%% @doc The value of a key. A node with a newer OTP may have put one for which this OTP has no term.
-spec decoded(binary(), Key :: term(), ram_error:call()) -> term().
decoded(Binary, Key, Call) ->
    decoded(Binary, Key, unreadable_value, Call).

%% @doc `unreadable_result': the value is the answer of a write that is done.
-spec decoded(binary(), Key :: term(), unreadable_value | unreadable_result, ram_error:call()) ->
          term().
decoded(Binary, Key, Unreadable, Call) ->
    try binary_to_term(Binary)
    catch error:badarg -> ram_error:failure({Unreadable, Key}, Call)
    end.

-spec meta(ram_nif:item_meta()) -> ram:meta().
meta({Revision, Created, Version, Left, Owner}) ->
    #{rev => Revision, created_rev => Created, version => Version, ttl => Left, owner => Owner}.
