%% Updates of one key from one node, as many as wait in one write.
%%
%% An update reads, runs its function in the process of its caller, and writes with compare-and-set.
%% One by one, those of a hot key would wait for a round through the log each, and lose most of them
%% to other nodes. So while one write is on its way the next updates gather, and are combined (after
%% Hendler, Incze, Shavit and Tzafrir, "Flat combining", 2010): the value goes from caller to
%% caller, each runs its function on what the one before made of it, and the last value is written.
%% All of them have happened then, in this order, or none has; nobody sees the values in between.
%% After a conflict all run again on what was found. What a function raises tells its caller of the
%% value too, and so does what it returns without a change: its caller hears it only when that value
%% is known to have been the key's, by the write or by a read.
%%
%% A key is contended for a second after a write of it met a conflict. Then a round waits for a turn
%% of this node first: the leader gives one node after the other a turn, with the newest value that
%% was proposed (`ram_raft::turns'). The turn is a hint. The write expects that value and decides;
%% without a turn in time the round goes on as that of any other key.
%%
%% The server has a queue of waiters for each key. A key that is being updated has a process of its
%% own, the combiner, which ends when nobody waits any more, of a contended key a second later; it
%% sees values as binaries only. A caller that is slow holds up those behind it, never those before
%% it. A combiner that crashes ends the updates of its round alone: those that ran may have
%% happened, the others have not; the rest of the queue gets a new combiner.
-module(ram_update).
-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

-export([start_link/0, run/4]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([access/0, current/0, new/0, change/0]).

-type current() :: none | {value, binary(), Revision :: pos_integer()}.
%% How the combiner reaches the member; with time limits in milliseconds. `give_back' is for a turn
%% without a write.
-type access() :: #{read := fun((timeout()) -> current() | {error, term()}),
                    set := fun((Expect :: absent | pos_integer() | {value, binary()},
                                new(), timeout()) ->
                                      {ok, pos_integer()} | {error, term()}
                                      | {conflict, none | {binary(), pos_integer()}}),
                    turn := fun((timeout()) ->
                                       {turn, unknown | none | {value, binary()}}
                                       | {error, term()}),
                    give_back := fun(() -> term())}.
%% `renewed': deleted, and then made again.
-type new() :: none | binary() | {renewed, binary()}.
%% What it makes of the value, and its result. `keep': no change.
-type change() :: fun((none | binary()) -> {keep | none | binary(), Result :: term()}).

-record(waiter, {alias :: reference(),      % takes messages as long as the caller waits
                 pid :: pid(),
                 deadline :: integer(),     % monotonic, milliseconds
                 runs :: infinity | pos_integer(),  % of its function, at most
                 access :: access()}).
%% A key with a combiner.
-record(line, {combiner :: reference(),             % monitors it
               idle = none :: none | gen_server:from(),     % waits for waiters
               round = [] :: [#waiter{}],           % those it has taken last
               queue = queue:new() :: queue:queue(#waiter{})}).
%% What a combiner knows of its key.
-record(known, {current = unknown :: unknown | current() | {value, binary()},
                lost_ms = never :: never | integer()}).     % when a write met a conflict
%% What a combiner does not change.
-record(at, {server :: pid(), key :: term(), slow_ms :: pos_integer()}).
-record(state, {slow_ms :: pos_integer(),
                lines = #{} :: #{term() => #line{}},
                count = 0 :: non_neg_integer()}).

-define(WAITING_MAX, 65536).
-define(COMBINED_MAX, 256).
%% How much of the reason of a crash is logged; there may be a value in it.
-define(LOG_DEPTH, 20).
%% For one whose predecessors have run their functions already.
-define(SLOW_MS, 10).
-define(CONTENDED_MS, 1000).
%% For a turn: somewhat more than the leader lets a node wait.
-define(TURN_WAIT_MS, 250).
%% Larger values are not handed over with a turn. TURN_VALUE_BYTES_MAX of ram_limits.
-define(TURN_BYTES_MAX, 16384).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, ?SLOW_MS, []).

%% @doc Updates `Key' with `Change', which runs in the calling process, maybe more than once, and
%% `Retries' times after the first at most. Returns the result of its last run, and the revision of
%% the write if there was one; what that run raises is raised here, and then it has changed nothing.
%% `conflict': it would have had to run once more, and has changed nothing.
-spec run(Key :: term(), {timeout(), Retries :: infinity | non_neg_integer()}, access(),
          change()) ->
          {ok, Revision :: none | pos_integer(), Result :: term()} | {error, conflict | term()}.
run(Key, {TimeoutMs, Retries}, Access, Change) ->
    Deadline = now_ms() + TimeoutMs,
    Alias = monitor(process, ?MODULE, [{alias, explicit_unalias}]),
    Runs = case Retries of infinity -> infinity; _ -> Retries + 1 end,
    Waiter = #waiter{alias = Alias, pid = self(), deadline = Deadline, runs = Runs,
                     access = Access},
    gen_server:cast(?MODULE, {join, Key, Waiter}),
    try
        wait(Alias, Deadline, {Change, Runs}, not_run)
    after
        unalias(Alias),
        demonitor(Alias, [flush]),
        flush(Alias)
    end.

%% `Last' is how the last run of `Change' ended, `Runs' how many more there may be.
wait(Alias, Deadline, {Change, Runs} = Left, Last) ->
    receive
        {Alias, {change, ReplyTo, _Value}} when Runs =:= 0 ->
            ReplyTo ! {ReplyTo, kept},
            wait(Alias, Deadline, Left, no_more);
        {Alias, {change, ReplyTo, Value}} ->
            wait(Alias, Deadline, {Change, less(Runs)}, changed(Change, Value, ReplyTo));
        {Alias, {done, {ok, Revision}}} ->
            case Last of
                {ran, Result} -> {ok, Revision, Result};
                no_more -> {error, conflict};
                {Class, Reason, Stack} -> erlang:raise(Class, Reason, Stack)
            end;
        {Alias, {done, Error}} ->
            Error;
        {Alias, combiner_down} ->
            ended(Last);
        {'DOWN', Alias, process, _Server, _Reason} ->
            ended(Last)
    after left_ms(Deadline) ->
        {error, timeout}
    end.

less(infinity) -> infinity;
less(Runs) -> Runs - 1.

%% What is known when nobody is left who could tell: a change that has not run is not written.
ended(not_run) -> {error, noproc};
ended(_Ran) -> {error, timeout}.

changed(Change, Value, ReplyTo) ->
    try Change(Value) of
        {keep, Result} -> ReplyTo ! {ReplyTo, kept}, {ran, Result};
        {New, Result} -> ReplyTo ! {ReplyTo, {made, New}}, {ran, Result}
    catch
        Class:Reason:Stack -> ReplyTo ! {ReplyTo, kept}, {Class, Reason, Stack}
    end.

flush(Alias) ->
    receive {Alias, _} -> flush(Alias)
    after 0 -> ok
    end.

-spec init(SlowMs :: pos_integer()) -> {ok, #state{}}.
init(SlowMs) ->
    {ok, #state{slow_ms = SlowMs}}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({join, _Key, #waiter{} = Waiter}, #state{count = Count} = State)
  when Count >= ?WAITING_MAX ->
    reply([Waiter], {error, overloaded}),
    {noreply, State};
handle_cast({join, Key, #waiter{} = Waiter}, #state{lines = Lines, count = Count} = State) ->
    #line{queue = Queue} = Line =
        case Lines of
            #{Key := Known} -> Known;
            #{} -> #line{combiner = start_combiner(Key, State#state.slow_ms)}
        end,
    Joined = Line#line{queue = queue:in(Waiter, Queue)},
    {noreply, wake(Key, State#state{lines = Lines#{Key => Joined}, count = Count + 1})};
handle_cast(_Unknown, State) ->
    {noreply, State}.

%% A combiner asks for the waiters of its next round, and stays for so long if there are none; or
%% for more waiters of its round.
-spec handle_call(term(), gen_server:from(), #state{}) ->
          {reply, [#waiter{}] | {error, unknown_request}, #state{}} | {noreply, #state{}}.
handle_call({next, Key, StayMs}, From, #state{lines = Lines} = State)
  when is_map_key(Key, Lines) ->
    #{Key := #line{queue = Queue} = Line} = Lines,
    case queue:is_empty(Queue) of
        true when StayMs =:= 0 ->
            {reply, [], left(Key, State)};
        true ->
            _ = erlang:send_after(StayMs, self(), {stayed, Key, From}),
            Idle = Line#line{idle = From, round = []},
            {noreply, State#state{lines = Lines#{Key := Idle}}};
        false ->
            {Round, Next} = take(Key, Line#line{round = []}, State),
            {reply, Round, Next}
    end;
handle_call({more, Key}, _From, #state{lines = Lines} = State) when is_map_key(Key, Lines) ->
    {More, Next} = take(Key, maps:get(Key, Lines), State),
    {reply, More, Next};
handle_call(_Unknown, _From, State) ->
    {reply, {error, unknown_request}, State}.

wake(Key, #state{lines = Lines} = State) ->
    case Lines of
        #{Key := #line{idle = none}} ->
            State;
        #{Key := #line{idle = Combiner} = Line} ->
            {Round, Next} = take(Key, Line#line{idle = none}, State),
            gen_server:reply(Combiner, Round),
            Next
    end.

%% Those who wait take part in the round, as many as there is room for.
take(Key, #line{round = Round, queue = Queue} = Line, State) ->
    #state{lines = Lines, count = Count} = State,
    Taken = min(queue:len(Queue), ?COMBINED_MAX - length(Round)),
    {Next, Rest} = queue:split(Taken, Queue),
    More = queue:to_list(Next),
    Left = Line#line{round = Round ++ More, queue = Rest},
    {More, State#state{lines = Lines#{Key := Left}, count = Count - Taken}}.

left(Key, #state{lines = Lines} = State) ->
    #{Key := #line{combiner = Combiner}} = Lines,
    demonitor(Combiner, [flush]),
    State#state{lines = maps:remove(Key, Lines)}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({stayed, Key, Combiner}, #state{lines = Lines} = State) ->
    case Lines of
        #{Key := #line{idle = Combiner}} ->
            gen_server:reply(Combiner, []),
            {noreply, left(Key, State)};
        #{} ->
            {noreply, State}
    end;
handle_info({'DOWN', Combiner, process, _Pid, Reason}, #state{lines = Lines} = State) ->
    case [Crashed || {_, #line{combiner = Of}} = Crashed <- maps:to_list(Lines), Of =:= Combiner] of
        [{Key, #line{round = Round} = Line}] ->
            ?LOG_ERROR("ram: an update crashed: ~0tP", [Reason, ?LOG_DEPTH]),
            lists:foreach(fun(Waiter) -> send(Waiter, combiner_down) end, Round),
            Next = Line#line{combiner = start_combiner(Key, State#state.slow_ms), round = [],
                             idle = none},
            {noreply, State#state{lines = Lines#{Key := Next}}};
        [] ->
            {noreply, State}
    end;
handle_info(_Unknown, State) ->
    {noreply, State}.

%%% The combiner. `Known' is cached; the compare-and-set decides.

%% Monitored and not linked, so that neither ends the other. One whose server has ended ends after
%% its round: it asks that process, and not the one that has its name by then.
start_combiner(Key, SlowMs) ->
    At = #at{server = self(), key = Key, slow_ms = SlowMs},
    {_Pid, Monitor} = spawn_monitor(fun() -> combine(#known{}, At) end),
    Monitor.

combine(Known, #at{server = Server, key = Key} = At) ->
    try gen_server:call(Server, {next, Key, contended_ms(Known)}, infinity) of
        [] -> ok;
        Waiters -> combine(round(Waiters, Known, At), At)
    catch
        exit:{_ServerEnded, _Call} -> ok
    end.

is_contended(Known) -> contended_ms(Known) > 0.

%% For how much longer it is.
contended_ms(#known{lost_ms = never}) -> 0;
contended_ms(#known{current = {value, Value, _}}) when byte_size(Value) > ?TURN_BYTES_MAX -> 0;
contended_ms(#known{lost_ms = LostMs}) -> max(0, LostMs + ?CONTENDED_MS - now_ms()).

%% Returns what is known of the key then, as write/4 does.
round(Waiters, Known, At) ->
    case [Waiter || #waiter{deadline = Deadline} = Waiter <- Waiters, left_ms(Deadline) > 0] of
        [] ->
            Known;
        InTime ->
            case {lists:all(fun may_try/1, InTime), is_contended(Known)} of
                {false, _} -> read(InTime, Known, At);
                {true, true} -> in_turn(InTime, Known, At);
                {true, false} -> without_turn(InTime, Known, At)
            end
    end.

%% Whose runs are counted runs on what is there, and not on what a node remembers.
may_try(#waiter{runs = Runs}) -> Runs =:= infinity.

without_turn(Waiters, #known{current = unknown} = Known, At) -> read(Waiters, Known, At);
without_turn(Waiters, Known, At) -> change(Waiters, Known, cached, At).

%% While the turn was waited for, more have come.
in_turn([#waiter{access = #{turn := Turn}} | _] = Waiters, Known, At) ->
    case Turn(min(?TURN_WAIT_MS, left_ms(Waiters))) of
        {turn, Hint} ->
            More = gen_server:call(At#at.server, {more, At#at.key}, infinity),
            hinted(Waiters ++ More, Hint, Known, At);
        {error, _} ->
            without_turn(Waiters, Known#known{lost_ms = never}, At)
    end.

hinted(Waiters, Hint, #known{current = Current} = Known, At) ->
    case {lists:all(fun may_try/1, Waiters), Hint, Current} of
        {false, _, _} -> read(Waiters, Known, At);
        {true, unknown, unknown} -> read(Waiters, Known, At);
        {true, unknown, _Cached} -> change(Waiters, Known, turn, At);
        {true, Newest, _Older} -> change(Waiters, Known#known{current = Newest}, turn, At)
    end.

read([#waiter{access = #{read := Read}} | _] = Waiters, Known, At) ->
    case Read(left_ms(Waiters)) of
        {error, _} = Error -> reply(Waiters, Error), Known#known{current = unknown};
        Current -> change(Waiters, Known#known{current = Current}, read, At)
    end.

%% What is known was read while all of them waited, came with a turn, or is cached.
change([#waiter{access = Access} | _] = Waiters, #known{current = Current} = Known, Origin, At) ->
    case pass_on(Waiters, {same, value(Current)}, [], At#at.slow_ms) of
        {Ran, {same, _}, Late} ->
            _ = Origin =:= turn andalso (maps:get(give_back, Access))(),
            round(Late, kept(Ran, Known, Origin, At), At);
        {Ran, {new, New}, Late} ->
            round(Late, write(Ran, Known, New, At), At);
        {Ran, {renewed, _New} = Renewed, Late} ->
            round(Late, write(Ran, Known, Renewed, At), At)
    end.

value(none) -> none;
value({value, Value}) -> Value;
value({value, Value, _Revision}) -> Value.

%% None of them made anything, so none has a revision.
kept([], Known, _Origin, _At) -> Known;
kept(Ran, Known, read, _At) -> reply(Ran, {ok, none}), Known;
kept(Ran, Known, _Origin, At) -> read(Ran, Known, At).

%% From caller to caller, up to the first that is slow. Returns whose functions have run to their
%% end, what they made of the value, and who is left.
pass_on([], Value, Ran, _SlowMs) ->
    {lists:reverse(Ran), Value, []};
pass_on([Waiter | Rest] = Waiters, {_, Old} = Value, Ran, SlowMs) ->
    Left = left_ms(Waiter#waiter.deadline),
    case run_in(Waiter, Old, case Ran of [] -> Left; _ -> min(Left, SlowMs) end) of
        {made, New} -> pass_on(Rest, made(Value, New), [Waiter | Ran], SlowMs);
        kept -> pass_on(Rest, Value, [Waiter | Ran], SlowMs);
        gone -> pass_on(Rest, Value, Ran, SlowMs);
        late -> {lists:reverse(Ran), Value, Waiters}
    end.

made({new, none}, New) when New =/= none -> {renewed, New};
made({renewed, _Old}, New) when New =/= none -> {renewed, New};
made(_Old, New) -> {new, New}.

run_in(#waiter{pid = Pid, alias = Alias}, Value, LimitMs) ->
    ReplyTo = monitor(process, Pid, [{alias, reply_demonitor}]),
    Alias ! {Alias, {change, ReplyTo, Value}},
    receive
        {ReplyTo, Answer} -> Answer;
        {'DOWN', ReplyTo, process, _Pid, _Reason} -> gone
    after LimitMs ->
        demonitor(ReplyTo, [flush]),
        receive {ReplyTo, Answer} -> Answer
        after 0 -> late
        end
    end.

write([#waiter{access = #{set := Set}} | More] = Ran, Known, New, At) ->
    case Set(expected(Known), New, left_ms(Ran)) of
        {ok, NewRevision} ->
            reply(Ran, {ok, NewRevision}),
            Known#known{current = case New of
                                      none -> none;
                                      {renewed, Made} -> {value, Made, NewRevision};
                                      _ -> {value, New, NewRevision}
                                  end};
        {conflict, Found} ->
            Current = case Found of none -> none; {Value, Of} -> {value, Value, Of} end,
            round(Ran, #known{current = Current, lost_ms = now_ms()}, At);
        {error, timeout} -> reply(Ran, {error, timeout}), Known#known{current = unknown};
        {error, _} = Refused when More =:= [] ->
            reply(Ran, Refused), Known#known{current = unknown};
        %% Refused for what one of them made of it: nothing has happened, each tries alone.
        {error, _} ->
            lists:foldl(fun(Waiter, Then) -> round([Waiter], Then, At) end, Known, Ran)
    end.

expected(#known{current = none}) -> absent;
expected(#known{current = {value, _Value, Revision}}) -> Revision;
expected(#known{current = {value, _Value} = Value}) -> Value.

reply(Waiters, Result) ->
    lists:foreach(fun(Waiter) -> send(Waiter, {done, Result}) end, Waiters).

send(#waiter{alias = Alias}, Message) ->
    Alias ! {Alias, Message}.

left_ms(Waiters) when is_list(Waiters) ->
    lists:max([left_ms(Deadline) || #waiter{deadline = Deadline} <- Waiters]);
left_ms(Deadline) ->
    max(0, Deadline - now_ms()).

now_ms() ->
    erlang:monotonic_time(millisecond).
