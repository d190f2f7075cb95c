%% Updates of one key from one node, as many as wait in one write.
%%
%% An update reads, runs its function in the process of its caller, and writes with compare-and-set.
%% One by one, those of a hot key would wait for a round through the log each, and lose most of them
%% to other nodes. So while one write is on its way the next updates gather, and are combined (after
%% Hendler, Incze, Shavit and Tzafrir, "Flat combining", 2010): the value goes from caller to
%% caller, each runs its function on what the one before made of it, and the last value is written.
%% All of them have happened then, in this order, or none has; nobody sees the values in between.
%% After a conflict all run again on what was found. What a function raises tells its caller of the
%% value too: it is raised only when that value is known to have been the key's, by the write or by
%% a read.
%%
%% The server has a queue of waiters for each key. A key that is being updated has a process of its
%% own, the combiner, which ends when nobody waits any more; it sees values as binaries only. A
%% caller that is slow holds up those behind it, never those before it. A combiner that crashes ends
%% the updates of its round alone: those that ran may have happened, the others have not; the rest
%% of the queue gets a new combiner.
-module(ram_update).
-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

-export([start_link/0, run/4]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([access/0, current/0, change/0]).

-type current() :: none | {value, binary(), Revision :: pos_integer()}.
%% How the combiner reaches the member; each with a time limit in milliseconds.
-type access() :: #{read := fun((timeout()) -> current() | {error, term()}),
                    set := fun((Expect :: absent | pos_integer(), binary(), timeout()) ->
                                      {ok, pos_integer()} | {error, term()}
                                      | {conflict, none | {binary(), pos_integer()}})}.
-type change() :: fun((none | binary()) -> binary()).

-record(waiter, {alias :: reference(),      % takes messages as long as the caller waits
                 pid :: pid(),
                 deadline :: integer(),     % monotonic, milliseconds
                 access :: access()}).
%% A key with a combiner.
-record(line, {combiner :: reference(),             % monitors it
               round = [] :: [#waiter{}],           % those it has taken last
               queue = queue:new() :: queue:queue(#waiter{})}).
-record(state, {slow_ms :: pos_integer(),
                lines = #{} :: #{term() => #line{}},
                count = 0 :: non_neg_integer()}).

-define(WAITING_MAX, 65536).
-define(COMBINED_MAX, 256).
%% How much of the reason of a crash is logged; there may be a value in it.
-define(LOG_DEPTH, 20).
%% For one whose predecessors have run their functions already.
-define(SLOW_MS, 10).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, ?SLOW_MS, []).

%% @doc Updates `Key' with `Change', which runs in the calling process, maybe more than once, and
%% `Retries' times after the first at most. Returns the revision of the write and what its last run
%% made; what that raises is raised here, and then it has changed nothing. `conflict': it would have
%% had to run once more, and has changed nothing.
-spec run(Key :: term(), {timeout(), Retries :: infinity | non_neg_integer()}, access(),
          change()) ->
          {ok, Revision :: pos_integer(), binary()} | {error, conflict | term()}.
run(Key, {TimeoutMs, Retries}, Access, Change) ->
    Deadline = now_ms() + TimeoutMs,
    Alias = monitor(process, ?MODULE, [{alias, explicit_unalias}]),
    Waiter = #waiter{alias = Alias, pid = self(), deadline = Deadline, access = Access},
    gen_server:cast(?MODULE, {join, Key, Waiter}),
    Runs = case Retries of infinity -> infinity; _ -> Retries + 1 end,
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
            ReplyTo ! {ReplyTo, raised},
            wait(Alias, Deadline, Left, no_more);
        {Alias, {change, ReplyTo, Value}} ->
            wait(Alias, Deadline, {Change, less(Runs)}, changed(Change, Value, ReplyTo));
        {Alias, {done, {ok, Revision}}} ->
            case Last of
                {made, New} -> {ok, Revision, New};
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
        New -> ReplyTo ! {ReplyTo, {made, New}}, {made, New}
    catch
        Class:Reason:Stack -> ReplyTo ! {ReplyTo, raised}, {Class, Reason, Stack}
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
    {noreply, State#state{lines = Lines#{Key => Joined}, count = Count + 1}};
handle_cast(_Unknown, State) ->
    {noreply, State}.

%% A combiner asks for the waiters of its next round.
-spec handle_call(term(), gen_server:from(), #state{}) ->
          {reply, [#waiter{}] | {error, unknown_request}, #state{}}.
handle_call({next, Key}, _From, #state{lines = Lines, count = Count} = State)
  when is_map_key(Key, Lines) ->
    #{Key := #line{queue = Queue} = Line} = Lines,
    case min(queue:len(Queue), ?COMBINED_MAX) of
        0 ->
            demonitor(Line#line.combiner, [flush]),
            {reply, [], State#state{lines = maps:remove(Key, Lines)}};
        Taken ->
            {Next, Rest} = queue:split(Taken, Queue),
            Round = queue:to_list(Next),
            Left = Line#line{round = Round, queue = Rest},
            {reply, Round, State#state{lines = Lines#{Key := Left}, count = Count - Taken}}
    end;
handle_call(_Unknown, _From, State) ->
    {reply, {error, unknown_request}, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Combiner, process, _Pid, Reason}, #state{lines = Lines} = State) ->
    case [Crashed || {_, #line{combiner = Of}} = Crashed <- maps:to_list(Lines), Of =:= Combiner] of
        [{Key, #line{round = Round} = Line}] ->
            ?LOG_ERROR("ram: an update crashed: ~0tP", [Reason, ?LOG_DEPTH]),
            lists:foreach(fun(Waiter) -> send(Waiter, combiner_down) end, Round),
            Next = Line#line{combiner = start_combiner(Key, State#state.slow_ms), round = []},
            {noreply, State#state{lines = Lines#{Key := Next}}};
        [] ->
            {noreply, State}
    end;
handle_info(_Unknown, State) ->
    {noreply, State}.

%%% The combiner. `Known' is the value that it has cached for the key; the compare-and-set decides.

%% Monitored and not linked, so that neither ends the other. One whose server has ended ends after
%% its round: it asks that process, and not the one that has its name by then.
start_combiner(Key, SlowMs) ->
    Server = self(),
    {_Pid, Monitor} = spawn_monitor(fun() -> combine(Server, Key, unknown, SlowMs) end),
    Monitor.

combine(Server, Key, Known, SlowMs) ->
    try gen_server:call(Server, {next, Key}, infinity) of
        [] -> ok;
        Waiters -> combine(Server, Key, round(Waiters, Known, SlowMs), SlowMs)
    catch
        exit:{_ServerEnded, _Call} -> ok
    end.

%% Returns what is known of the key then, as write/4 does.
round(Waiters, Known, SlowMs) ->
    case [Waiter || #waiter{deadline = Deadline} = Waiter <- Waiters, left_ms(Deadline) > 0] of
        [] -> Known;
        InTime when Known =:= unknown -> read(InTime, SlowMs);
        InTime -> change(InTime, Known, cached, SlowMs)
    end.

read([#waiter{access = #{read := Read}} | _] = Waiters, SlowMs) ->
    case Read(left_ms(Waiters)) of
        {error, _} = Error -> reply(Waiters, Error), unknown;
        Current -> change(Waiters, Current, read, SlowMs)
    end.

%% `Current' was read while all of them waited, or is cached.
change(Waiters, Current, Origin, SlowMs) ->
    Value = case Current of none -> none; {value, Old, _Revision} -> Old end,
    case pass_on(Waiters, {same, Value}, [], SlowMs) of
        {[], _, Late} ->
            round(Late, Current, SlowMs);
        {Ran, {new, New}, Late} ->
            round(Late, write(Ran, Current, New, SlowMs), SlowMs);
        {Raised, {same, _}, Late} when Origin =:= read ->
            %% None of them made anything, so none has a revision.
            reply(Raised, {ok, none}),
            round(Late, Current, SlowMs);
        {Raised, {same, _}, Late} ->
            round(Late, read(Raised, SlowMs), SlowMs)
    end.

%% From caller to caller, up to the first that is slow. Returns whose functions have run to their
%% end, what they made of the value, and who is left.
pass_on([], Value, Ran, _SlowMs) ->
    {lists:reverse(Ran), Value, []};
pass_on([Waiter | Rest] = Waiters, {_, Old} = Value, Ran, SlowMs) ->
    Left = left_ms(Waiter#waiter.deadline),
    case run_in(Waiter, Old, case Ran of [] -> Left; _ -> min(Left, SlowMs) end) of
        {made, New} -> pass_on(Rest, {new, New}, [Waiter | Ran], SlowMs);
        raised -> pass_on(Rest, Value, [Waiter | Ran], SlowMs);
        gone -> pass_on(Rest, Value, Ran, SlowMs);
        late -> {lists:reverse(Ran), Value, Waiters}
    end.

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

write([#waiter{access = #{set := Set}} | More] = Ran, Current, New, SlowMs) ->
    Expect = case Current of none -> absent; {value, _Old, Revision} -> Revision end,
    case Set(Expect, New, left_ms(Ran)) of
        {ok, NewRevision} ->
            reply(Ran, {ok, NewRevision}),
            {value, New, NewRevision};
        {conflict, none} -> round(Ran, unknown, SlowMs);
        {conflict, {Found, FoundRevision}} -> round(Ran, {value, Found, FoundRevision}, SlowMs);
        {error, timeout} -> reply(Ran, {error, timeout}), unknown;
        {error, _} = Refused when More =:= [] -> reply(Ran, Refused), unknown;
        %% Refused for what one of them made of it: nothing has happened, each tries alone.
        {error, _} -> lists:foldl(fun(Waiter, Known) -> round([Waiter], Known, SlowMs) end,
                                  Current, Ran)
    end.

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
