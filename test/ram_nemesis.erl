%% What can go wrong with a cluster, and a schedule of it.
%%
%% `schedule/3' is a function of its arguments: one seed gives one schedule, on every machine. What
%% a machine cannot do is left out when its turn comes, and counted. Faults that say `leader' ask
%% who leads at that moment. Between two steps all is whole again: every wire open, every node up
%% and a full member. So a majority never loses its memory, since one node at most is wiped, and
%% what clients are told to be unknown stays rare without any trick.
%%
%% Of two faults in one step the first is of a node and the second of the network. Undoing goes
%% the other way round, since who comes back needs the network.
-module(ram_nemesis).

-export([schedule/3, schedule/4, run/3, make_whole/1, kinds/0]).
-export_type([step/0, fault/0, report/0]).

-type target() :: pos_integer() | leader.
-type manner() :: cut | held.
-type fault() ::
        {halves, manner(), Minority :: [pos_integer()]}
      | {isolate, manner(), target()}
      | {one_way, manner(), From :: target(), Direction :: in | out}
      | {bridge, manner(), Order :: [pos_integer()]}
      | {ring, manner(), Order :: [pos_integer()]}
      | {slow, target(), Ms :: pos_integer(), MoreMs :: pos_integer()}
      | {lossy, target(), Ms :: pos_integer(), OneOf :: pos_integer()}
      | {kill, target()}
      | {suspend, target(), Ms :: pos_integer()}
      | {clock, target(), Seconds :: integer()}
      | {churn, target()}
      | {full_disk, target()}
      | {wipe, target()}
        %% The leader is cut off and another takes over; then the new one is cut off, and the old
        %% one is with a member that restarts at that moment: its vote hold counts now.
      | {relay, manner(), target(), Pick :: pos_integer()}
        %% One member no longer hears the leader. Then the leader is cut off, while those who heard
        %% it start again in the same moment: their vote holds for it count.
      | {asymmetric_partition, target(), Pick :: pos_integer()}.
-type step() :: {PauseMs :: pos_integer(), HoldMs :: pos_integer(), [fault()]}.
-type report() :: [{Kind :: atom(), FromNs :: integer(), ToNs :: integer(), done | unavailable}].
-type hooks() :: #{now_ns := fun(() -> integer()), until_ns := integer(),
                   up := fun((pos_integer()) -> ok), note := fun((iodata()) -> ok)}.

-define(WHOLE_MS, 60000).
%% For those who are together after a relay to elect and to be written to.
-define(RELAY_MS, 1500).
%% Longer than any vote hold of the one who hears nothing.
-define(UNHEARD_MS, 1200).
-define(FILE_BYTES_MAX, (1 bsl 20)).

node_kinds() -> [kill, suspend, clock, churn, full_disk, wipe, relay, asymmetric_partition].
wire_kinds() -> [halves, isolate, one_way, bridge, ring, slow, lossy].
kinds() -> wire_kinds() ++ node_kinds().

%%% The schedule

%% @doc Enough steps for so long a run of so many nodes. Each kind comes before any comes again.
-spec schedule(integer(), pos_integer(), pos_integer()) -> [step()].
schedule(Seed, Count, RunMs) ->
    schedule(Seed, Count, RunMs, kinds()).

%% @doc Of these kinds alone.
-spec schedule(integer(), pos_integer(), pos_integer(), [atom(), ...]) -> [step()].
schedule(Seed, Count, RunMs, All) ->
    steps(rand:seed_s(exsss, {Seed, Count, 4}), Count, RunMs, All, []).

steps(_State, _Count, LeftMs, _All, _Kinds) when LeftMs =< 0 ->
    [];
steps(State0, Count, LeftMs, All, []) ->
    {Kinds, State} = shuffled(All, State0),
    steps(State, Count, LeftMs, All, Kinds);
steps(State0, Count, LeftMs, All, [Kind | Kinds]) ->
    {First, State1} = fault(Kind, Count, State0),
    {Faults, Rest, State2} = perhaps_another(First, Kinds, Count, State1),
    {PauseMs, State3} = between(300, 1500, State2),
    {HoldMs, State4} = hold_ms(Faults, State3),
    [{PauseMs, HoldMs, Faults} | steps(State4, Count, LeftMs - PauseMs - HoldMs, All, Rest)].

%% One time in three a fault of a node and one of the network come together.
perhaps_another(First, Kinds, Count, State0) ->
    Others = case lists:member(element(1, First), node_kinds()) of
                 true -> wire_kinds();
                 false -> node_kinds()
             end,
    {N, State1} = rand:uniform_s(3, State0),
    case [Kind || Kind <- Kinds, lists:member(Kind, Others)] of
        [Kind | _] when N =:= 1 ->
            {Second, State2} = fault(Kind, Count, State1),
            {node_first([First, Second]), Kinds -- [Kind], State2};
        _ ->
            {[First], Kinds, State1}
    end.

node_first([First, Second]) ->
    case lists:member(element(1, First), node_kinds()) of
        true -> [First, Second];
        false -> [Second, First]
    end.

hold_ms(Faults, State0) ->
    {Ms, State} = between(500, 3000, State0),
    case Faults of
        [{suspend, _, SuspendedMs} | _] -> {SuspendedMs, State};
        [{asymmetric_partition, _, _} | _] -> {max(?UNHEARD_MS, Ms), State};
        _ -> {Ms, State}
    end.

fault(halves, Count, State0) ->
    {Order, State1} = shuffled(lists:seq(1, Count), State0),
    {Manner, State2} = manner(State1),
    {{halves, Manner, lists:sublist(Order, Count div 2)}, State2};
fault(isolate, _Count, State0) ->
    {Manner, State} = manner(State0),
    {{isolate, Manner, leader}, State};
fault(one_way, Count, State0) ->
    {Target, State1} = target(Count, State0),
    {Manner, State2} = manner(State1),
    {Direction, State} = one_of([in, out], State2),
    {{one_way, Manner, Target, Direction}, State};
fault(Kind, Count, State0) when Kind =:= bridge; Kind =:= ring ->
    {Order, State1} = shuffled(lists:seq(1, Count), State0),
    {Manner, State2} = manner(State1),
    {{Kind, Manner, Order}, State2};
fault(Kind, Count, State0) when Kind =:= slow; Kind =:= lossy ->
    {Target, State1} = target(Count, State0),
    {Ms, State2} = between(20, 300, State1),
    {More, State} = between(5, 100, State2),
    {{Kind, Target, Ms, More}, State};
fault(suspend, Count, State) ->
    suspension(target(Count, State));
fault(clock, Count, State0) ->
    {Target, State1} = target(Count, State0),
    {Seconds, State} = one_of([-86400, -3600, -30, -1, 1, 30, 3600, 86400], State1),
    {{clock, Target, Seconds}, State};
fault(relay, Count, State0) ->
    {Manner, State1} = manner(State0),
    {Pick, State} = between(1, Count - 1, State1),
    {{relay, Manner, leader, Pick}, State};
fault(asymmetric_partition, Count, State0) ->
    {Pick, State} = between(1, Count - 1, State0),
    {{asymmetric_partition, leader, Pick}, State};
fault(Kind, Count, State0) ->
    {Target, State} = target(Count, State0),
    {{Kind, Target}, State}.

%% Mostly short: as many below a second as above.
suspension({Target, State0}) ->
    {Longest, State1} = one_of([300, 1000, 3000, 10000], State0),
    {Ms, State} = between(100, Longest, State1),
    {{suspend, Target, Ms}, State}.

manner(State) -> one_of([cut, held], State).

target(Count, State) ->
    one_of([leader | lists:seq(1, Count)], State).

one_of(List, State0) ->
    {N, State} = rand:uniform_s(length(List), State0),
    {lists:nth(N, List), State}.

between(Min, Max, State0) ->
    {N, State} = rand:uniform_s(Max - Min + 1, State0),
    {Min + N - 1, State}.

shuffled(List, State0) ->
    {Keyed, State} = lists:mapfoldl(fun(Item, S0) ->
                                            {Key, S} = rand:uniform_s(S0),
                                            {{Key, Item}, S}
                                    end, State0, List),
    {[Item || {_, Item} <- lists:sort(Keyed)], State}.

%%% The run

%% @doc Does one step after the other until the time is over; ends with all whole.
-spec run(ram_peers:run(), [step()], hooks()) -> report().
run(Run, Schedule, Hooks) ->
    lists:append([step(Run, Step, Hooks) || Step <- Schedule]).

step(Run, {PauseMs, HoldMs, Faults}, #{now_ns := Now, until_ns := Until} = Hooks) ->
    wait(PauseMs, Hooks),
    case Now() >= Until of
        true ->
            [];
        false ->
            Begun = [begin
                         Known = known(Run, Fault),
                         {Known, Now(), begin_fault(Run, Known, Hooks)}
                     end || Fault <- Faults],
            wait(HoldMs, Hooks),
            [ended(Run, Each, Hooks) || Each <- lists:reverse(Begun)]
    end.

wait(Ms, #{now_ns := Now, until_ns := Until}) ->
    receive after max(0, min(Ms, (Until - Now()) div 1000000)) -> ok end.

ended(_Run, {Fault, From, unavailable}, _Hooks) ->
    {element(1, Fault), From, From, unavailable};
ended(Run, {Fault, From, ok}, #{now_ns := Now, note := Note} = Hooks) ->
    ok = end_fault(Run, Fault, Hooks),
    To = Now(),
    Note(io_lib:format("~b ~b ~0p~n", [From, To, Fault])),
    {element(1, Fault), From, To, done}.

%% `leader' becomes the number of the node that leads.
known(Run, Fault) ->
    list_to_tuple([case Word of leader -> leader(Run); _ -> Word end
                   || Word <- tuple_to_list(Fault)]).

%% As those know who answer, and of them the one in the highest term.
leader(Run) ->
    Ask = fun(I) ->
                  try ram_peers:call(Run, I, ram, status, [], 1000) of
                      #{leader := Leader, term := Term} when Leader =/= undefined ->
                          [{Term, N} || N <- members(Run), ram_peers:node(Run, N) =:= Leader];
                      _ -> []
                  catch _:_ -> []
                  end
          end,
    case lists:append([Ask(I) || I <- members(Run)]) of
        [] -> 1;
        Known -> element(2, lists:max(Known))
    end.

members(Run) -> ram_peers:members(Run).

others(Run, I) -> members(Run) -- [I].

begin_fault(Run, {kill, I}, _Hooks) ->
    ram_peers:kill(Run, I);
begin_fault(Run, {suspend, I, Ms}, _Hooks) ->
    ram_peers:suspend(Run, I, Ms);
begin_fault(#{clocks := false}, {clock, _, _}, _Hooks) ->
    unavailable;
begin_fault(Run, {clock, I, Seconds}, _Hooks) ->
    ram_peers:step_clock(Run, I, Seconds);
begin_fault(Run, {churn, I}, _Hooks) ->
    %% Whatever the answer: what came of it is seen when it is undone.
    _ = attempt(Run, hd(others(Run, I)), remove_node, [ram_peers:node(Run, I)]),
    ok;
begin_fault(Run, {full_disk, I}, _Hooks) ->
    ok = ram_peers:file_limit(Run, I, ?FILE_BYTES_MAX),
    %% So that the log grows up to the limit.
    _ = spawn(fun() -> fill(Run, hd(others(Run, I)), 40) end),
    ok;
begin_fault(Run, {wipe, I}, Hooks) ->
    ok = ram_peers:kill(Run, I),
    ok = file:del_dir_r(ram_peers:data_dir(Run, I)),
    up(Run, I, Hooks);
begin_fault(Run, {relay, Manner, I, _Pick}, _Hooks) ->
    tune(Run, both(Manner, [I], others(Run, I)));
begin_fault(Run, {asymmetric_partition, I, Pick}, _Hooks) ->
    tune(Run, [{I, lists:nth(Pick, others(Run, I)), held}]);
begin_fault(Run, Fault, _Hooks) ->
    tune(Run, wires(Fault, members(Run))).

tune(Run, Wires) ->
    Done = [ram_peers:tune(Run, A, B, Quality) || {A, B, Quality} <- Wires],
    case lists:member(unavailable, Done) of
        true -> unavailable;
        false -> ok
    end.

fill(_Run, _I, 0) ->
    ok;
fill(Run, I, Left) ->
    _ = attempt(Run, I, put, [filler, binary:copy(<<"f">>, 1 bsl 16)]),
    fill(Run, I, Left - 1).

%% Which wires a fault of the network changes, and how.
wires({halves, Manner, Left}, All) ->
    both(Manner, Left, All -- Left);
wires({isolate, Manner, I}, All) ->
    both(Manner, [I], All -- [I]);
wires({one_way, Manner, I, out}, All) ->
    [{I, J, Manner} || J <- All -- [I]];
wires({one_way, Manner, I, in}, All) ->
    [{J, I, Manner} || J <- All -- [I]];
wires({bridge, Manner, Order}, _All) ->
    {Left, [_Middle | Right]} = lists:split(length(Order) div 2, Order),
    both(Manner, Left, Right);
%% Of three each hears one other and is heard by one; of more each has its two neighbours.
wires({ring, Manner, [A, B, C]}, _All) ->
    [{B, A, Manner}, {C, B, Manner}, {A, C, Manner}];
wires({ring, Manner, [First | _] = Order}, _All) ->
    Next = lists:zip(Order, tl(Order) ++ [First]),
    [{A, B, Manner} || A <- Order, B <- Order, A =/= B, not lists:member({A, B}, Next),
                       not lists:member({B, A}, Next)];
wires({slow, I, Ms, More}, All) ->
    both({slow, Ms, More}, [I], All -- [I]);
wires({lossy, I, Ms, OneOf}, All) ->
    both({lossy, Ms, OneOf}, [I], All -- [I]).

both(Quality, Left, Right) ->
    [{A, B, Quality} || A <- Left, B <- Right] ++ [{B, A, Quality} || A <- Left, B <- Right].

end_fault(Run, {kill, I}, Hooks) ->
    up(Run, I, Hooks);
end_fault(Run, {suspend, I, _Ms}, _Hooks) ->
    ram_peers:resume(Run, I);
end_fault(Run, {clock, I, _Seconds}, _Hooks) ->
    ram_peers:step_clock(Run, I, 0);
end_fault(Run, {churn, I}, _Hooks) ->
    By = hd(others(Run, I)),
    within(fun() -> attempt(Run, By, add_node, [ram_peers:node(Run, I)]) =:= ok end),
    make_whole(Run);
end_fault(Run, {full_disk, I}, _Hooks) ->
    ok = ram_peers:file_limit(Run, I, unlimited),
    within(fun() -> attempt(Run, I, restart_server, []) =:= ok end);
end_fault(Run, {relay, Manner, I, Pick}, Hooks) ->
    Restarted = lists:nth(Pick, others(Run, I)),
    Left = lists:sublist(others(Run, I) -- [Restarted], length(members(Run)) div 2),
    ok = ram_peers:kill(Run, Restarted),
    ok = tune(Run, both(Manner, Left, members(Run) -- Left)),
    ok = tune(Run, both(open, [I], others(Run, I) -- Left)),
    up(Run, Restarted, Hooks),
    receive after ?RELAY_MS -> ok end,
    ram_peers:heal(Run);
end_fault(Run, {asymmetric_partition, I, Pick}, _Hooks) ->
    Unhearing = lists:nth(Pick, others(Run, I)),
    Restarted = lists:sublist(others(Run, I) -- [Unhearing], length(members(Run)) div 2),
    ok = tune(Run, both(held, [I], others(Run, I))),
    %% Without their virtual machines, which would take longer than a vote hold lasts.
    [ok = attempt(Run, J, Do, []) || Do <- [stop, start], J <- Restarted],
    receive after ?RELAY_MS -> ok end,
    ram_peers:heal(Run);
end_fault(Run, {wipe, _I}, _Hooks) ->
    make_whole(Run);
end_fault(Run, _Wires, _Hooks) ->
    ram_peers:heal(Run).

up(Run, I, #{up := Up}) ->
    _Node = ram_peers:restart(Run, I),
    Up(I).

%% @doc Waits until all nodes are full members that serve, taking back who lost its data.
make_whole(Run) ->
    All = lists:sort(ram_peers:nodes(Run)),
    Whole = fun(I) -> attempt(Run, I, nodes, []) =:= All end,
    within(fun() -> attempt(Run, hd(members(Run)), start_cluster, [All]) =:= ok end),
    within(fun() -> lists:all(Whole, members(Run)) end).

within(Condition) ->
    ram_peers:eventually(Condition, ?WHOLE_MS).

attempt(Run, I, Function, Arguments) ->
    try ram_peers:call(Run, I, Function, Arguments)
    catch _:Reason -> {raised, Reason}
    end.
