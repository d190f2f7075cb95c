%% Locks: ram:lock/1,2, unlock/2 and with_lock/2,3. After etcd's recipe (`concurrency/mutex.go'),
%% with fencing tokens (Burrows, "The Chubby lock service", 2006, section 2.4: sequencers).
%%
%% A request is a key `{Name, Id}' of a table of ram itself, owned by the caller, so it goes when
%% the caller ends. Of the requests for a name the oldest holds the lock, by the revision that
%% created it; that revision is the token, so tokens grow from holder to holder. Each of the others
%% waits for the request before it to go, by a watch: no polling, and who leaves wakes one. A
%% request that does not wait is one write, on the condition that there is no other.
%%
%% A caller that is told nothing (its request timed out, its member stopped) must not stand in the
%% queue: a process of its own withdraws the request, and goes on until that is done or the caller
%% has ended. The write of a request may still be on its way then. So each request is made on the
%% condition that its fence is absent, a key that is put when it is withdrawn.
-module(ram_lock).

-export([lock/3, unlock/3, with_lock/4]).

-define(TABLE, {'$ram_lock', ordered_set}).
-define(NAME, '$ram_lock').
%% How often a request is tried to be withdrawn.
-define(WITHDRAW_MS, 250).
%% No write is on its way for so long.
-define(FENCE_MS, 3600000).
-define(WAIT_MS_MAX, 16#FFFFFFFF).
%% How many requests are looked at first: among those made last is most likely one before the own.
-define(LAST, 8).
%% Of so many keys a call tells what they hold, and no other process is asked.
-define(AT_ONCE, 100).
%% How much of a wrong term is printed.
-define(DEPTH, 12).

-type call() :: ram_error:call().
-type id() :: {Time :: integer(), reference()}.

-record(request, {name :: term(),
                  id :: id(),
                  deadline :: integer(),            % monotonic, milliseconds: of the waiting
                  timeout :: timeout() | default,   % of each write and read
                  call :: call()}).

-spec lock(term(), map(), call()) -> {ok, ram:rev()} | {error, held | timeout}.
lock(Name, Options, Call) ->
    case acquire(Name, Options, Call) of
        {ok, Token, _Request} -> {ok, Token};
        {error, _} = Error -> Error
    end.

-spec with_lock(term(), fun((ram:rev()) -> R), map(), call()) ->
          {ok, R} | {error, held | timeout | lost}.
with_lock(Name, Fun, Options, Call) ->
    is_function(Fun, 1)
        orelse ram_arguments:wrong(Call, 2, "must be a fun of one argument, and is ~0tP",
                                   [Fun, ?DEPTH]),
    case acquire(Name, Options, Call) of
        {ok, Token, Request} -> run(Fun, Token, Request);
        {error, _} = Error -> Error
    end.

run(Fun, Token, #request{call = Call} = Request) ->
    try Fun(Token) of
        Result ->
            case release(Request, Token) of
                true -> {ok, Result};
                false -> {error, lost};
                {error, Reason} -> ram_write:failed(Reason, [], Call)
            end
    catch
        Class:Reason:Stack ->
            _ = release(Request, Token),
            erlang:raise(Class, Reason, Stack)
    end.

%% True: it was held up to now.
release(#request{timeout = TimeoutMs, call = Call} = Request, Token) ->
    try ram_own_table:run(?TABLE, TimeoutMs, [{none, key(Request), {rev, '=', Token}}],
                          [{delete, none, key(Request)}], [], Call)
    of
        {ran, true, _, []} -> true;
        {ran, false, _, []} -> forget_loss(Request), false;
        {error, _} = Error -> withdraw(Request, []), Error
    catch
        error:Reason -> withdraw(Request, []), {error, Reason}
    end.

-spec unlock(term(), term(), call()) -> boolean().
unlock(Name, Token, Call) ->
    is_integer(Token) andalso Token > 0
        orelse ram_arguments:wrong(Call, 2, "must be the token that ram:lock/1 returned, a "
                                   "positive integer, and is ~0tP", [Token, ?DEPTH]),
    ok = outside_of_a_transaction(Call),
    {_, _, Configured} = ram_request:running(Call),
    Reads = #{table => ?NAME, reads => ram_options:linearizable(Configured)},
    Asked = ram_options:own(Reads, Call),
    case created(ram_own_table:keys(all(Name), Asked, Call), Asked, Call) of
        [] -> false;
        Requests -> unlock_held(lists:min(Requests), Token, Call)
    end.

unlock_held({Token, Key}, Token, Call) ->
    case ram_own_table:run(?TABLE, default, [{none, Key, {rev, '=', Token}}],
                           [{delete, none, Key}], [], Call) of
        {ran, Held, _, []} -> Held;
        {error, Reason} -> ram_write:failed(Reason, [], Call)
    end;
unlock_held(_OfAnother, _Token, _Call) ->
    false.

%%% Requests

acquire(Name, Options, Call) ->
    Checks = #{wait => fun check_wait/1, timeout => fun ram_arguments:timeout/1},
    Checked = ram_arguments:options(Options, Checks, Call),
    ok = outside_of_a_transaction(Call),
    WaitMs = maps:get(wait, Checked, 0),
    Request = #request{name = Name, id = new_id(), deadline = now_ms() + WaitMs,
                       timeout = maps:get(timeout, Checked, default), call = Call},
    case WaitMs of
        0 -> take(Request);
        _ -> enqueue(Request)
    end.

%% A reference is of one run of one node; that has no name of its own unless it is distributed.
new_id() -> {erlang:system_time(), make_ref()}.

key(#request{name = Name, id = Id}) -> {Name, Id}.

%% No name, and so in no range of requests.
fence(#request{id = Id}) -> {Id}.

all(Name) -> {prefix, {tuple, 2, [Name]}}.

%% If nobody has requested it.
take(#request{name = Name} = Request) ->
    case request(Request, [{unchanged, none, all(Name), 0, 0}]) of
        {true, Token} -> {ok, Token, Request};
        {false, _Revision} -> {error, held}
    end.

enqueue(Request) ->
    {true, Token} = request(Request, []),
    try wait(Request, Token, Token)
    catch Class:Reason:Stack ->
        withdraw(Request, []),
        erlang:raise(Class, Reason, Stack)
    end.

request(#request{timeout = TimeoutMs, call = Call} = Request, Conditions) ->
    Put = ram_own_table:owned(key(Request), [], self(), TimeoutMs, Call),
    All = [{none, fence(Request), absent} | Conditions],
    case ram_own_table:run(?TABLE, TimeoutMs, All, [Put], [], Call) of
        {ran, IsMade, Revision, []} ->
            {IsMade, Revision};
        {error, Reason} ->
            _ = Reason =:= timeout andalso
                withdraw(Request, [{put, none, fence(Request), term_to_binary([]), ?FENCE_MS}]),
            ram_write:failed(Reason, [], Call)
    end.

%%% Waiting

%% `Seen': the revision that this node shows at least.
wait(Request, Token, Seen) ->
    case request_before(Request, Token, Seen) of
        none ->
            {ok, Token, Request};
        gone ->
            ok = forget_loss(Request),
            request_again(Request);
        {key, Before} ->
            case left_ms(Request) > 0 andalso await_end(Before, Request, Seen) of
                {ok, Later} -> wait(Request, Token, Later);
                _TimeIsOver -> leave(Before, Request, Token)
            end
    end.

%% This node was taken for gone, and the request with it: its place is the last one.
request_again(Request) ->
    case left_ms(Request) of
        0 -> {error, timeout};
        _ -> enqueue(Request#request{id = new_id()})
    end.

%% Unless the request before it has gone: then this one may hold the lock.
leave(Before, #request{timeout = TimeoutMs, call = Call} = Request, Token) ->
    case ram_own_table:run(?TABLE, TimeoutMs, [{none, Before, present}],
                           [{delete, none, key(Request)}], [], Call) of
        {ran, true, _, []} -> ok = forget_loss(Request), {error, timeout};
        {ran, false, Revision, []} -> wait(Request, Token, Revision);
        {error, Reason} -> ram_write:failed(Reason, [], Call)
    end.

%% What this node shows is enough, however old it is: a request that was made later is none before
%% this one, and one that has gone does not come again. Those made last are looked at first, since
%% any request before this one will do; that there is none is known when all were looked at.
request_before(#request{name = Name, timeout = TimeoutMs, call = Call} = Request, Token, Seen) ->
    Asked = ram_options:own(local(TimeoutMs, Seen), Call),
    {Last, IsMore} = ram_scan:last_keys(all(Name), ?LAST, Asked, Call),
    case newest_before(Request, Last, Token, Asked) of
        none when IsMore ->
            newest_before(Request, ram_own_table:keys(all(Name), Asked, Call), Token, Asked);
        Found ->
            Found
    end.

newest_before(#request{call = Call} = Request, Keys, Token, Asked) ->
    Own = key(Request),
    Created = created([Own | lists:delete(Own, Keys)], Asked, Call),
    case {Created, lists:max([{0, none} | [Each || {At, _} = Each <- Created, At < Token]])} of
        {[{Token, Own} | _], {0, none}} -> none;
        {[{Token, Own} | _], {_, Before}} -> {key, Before};
        _WithoutOwn -> gone
    end.

local(default, Seen) -> #{table => ?NAME, reads => local, at_least => Seen};
local(TimeoutMs, Seen) -> (local(default, Seen))#{timeout => TimeoutMs}.

%% Which of these requests are there, and at which revision each was made. They are not of one
%% revision: one that has gone meanwhile may be among them, and none is missing that is older than
%% the call.
created([], _Asked, _Call) ->
    [];
created(Keys, Asked, Call) ->
    {Now, Later} = lists:split(min(?AT_ONCE, length(Keys)), Keys),
    [{element(2, Meta), Key}
     || {Key, {_Kind, _Value, Meta}} <- lists:zip(Now, ram_lookup:items(Asked, Now, Call))]
        ++ created(Later, Asked, Call).

%% Returns a revision at which another look is worth it; `late': the time is over.
await_end(Before, #request{timeout = TimeoutMs, call = Call} = Request, Seen) ->
    {ok, Watch, Begun} = ram_watch:own_key(?NAME, Before, timeout_ms(TimeoutMs), Call),
    try
        Asked = ram_options:own(local(TimeoutMs, max(Seen, Begun)), Call),
        case ram_lookup:item(Asked, Before) of
            none -> {ok, max(Seen, Begun)};
            {error, _} = Error -> ram_lookup:checked(Error, Call);
            _IsThere -> await_event(Watch, Request, max(Seen, Begun))
        end
    after
        ram_watch:unwatch(Watch)
    end.

%% It has ended, or the watch has; or the own request went with the node.
await_event(Watch, Request, Seen) ->
    Own = key(Request),
    receive
        {ram_event, Watch, Revision, _EndedOrLost} -> {ok, max(Seen, Revision)};
        {ram_event, owner_lost, Own, Revision} -> {ok, max(Seen, Revision)}
    after left_ms(Request) ->
        late
    end.

timeout_ms(default) -> ram_request:timeout_ms();
timeout_ms(TimeoutMs) -> TimeoutMs.

%% The caller hears of it otherwise.
forget_loss(Request) ->
    Own = key(Request),
    receive {ram_event, owner_lost, Own, _Revision} -> ok
    after 0 -> ok
    end.

%%% Withdrawing

withdraw(Request, Puts) ->
    Caller = self(),
    Commands = [{delete, none, key(Request)} | Puts],
    _ = spawn(fun() -> withdraw_of(monitor(process, Caller), Commands) end),
    ok.

withdraw_of(Caller, Commands) ->
    case is_withdrawn(Commands) of
        true ->
            ok;
        false ->
            receive {'DOWN', Caller, process, _, _} -> ok
            after ?WITHDRAW_MS -> withdraw_of(Caller, Commands)
            end
    end.

is_withdrawn(Commands) ->
    case ram_request:member() of
        undefined ->
            false;
        {Member, TimeoutMs, _Reads} ->
            Table = ram_options:table(?NAME),
            case ram_write:run({Member, TimeoutMs, Table}, [], Commands, []) of
                {ran, true, _Revision, []} -> true;
                {error, {no_table, Table}} -> true;
                {error, _} -> false
            end
    end.

%%% Arguments

check_wait(Ms) when is_integer(Ms), Ms >= 0, Ms =< ?WAIT_MS_MAX -> ok;
check_wait(_Ms) ->
    {error, lists:concat(["must be milliseconds, an integer of 0 to ", ?WAIT_MS_MAX])}.

outside_of_a_transaction(Call) ->
    case ram_transaction:is_running() of
        false -> ok;
        true ->
            ram_error:badarg(Call, general, "is called inside of a transaction, which cannot be")
    end.

left_ms(#request{deadline = Deadline}) ->
    max(0, Deadline - now_ms()).

now_ms() ->
    erlang:monotonic_time(millisecond).
