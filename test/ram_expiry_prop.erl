%% Times to live against the model, with times that pass. Run by ram_model_SUITE.
%%
%% Each process has a key of its own, and performs a few operations on it (ram_model_gen makes none
%% of them: here most have a time to live), on nodes of its own choice, with pauses between. What
%% its time began with is known from before the call to its answer. So the key must be there until
%% the time is over, counted from before, must be gone two seconds after, counted from the answer,
%% and between may be either: then both are possible, until an answer decides. Debian's PropEr
%% comes without its header, hence the macros.
-module(ram_expiry_prop).

-export([times/0, use/1]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
-define(RUN, {?MODULE, run}).
-define(NODES, 3).
%% What is promised, and what a busy machine is given.
-define(LATE_MS, ram_case:amount(20000, 2000)).
%% Of a node's word about what is left: it counts whole milliseconds.
-define(ROUNDED_MS, 5).
-define(POLL_MS, 20).

-import(ram_property, [holds/1]).
-import(proper_types, [oneof/1, frequency/1, range/2, elements/1, list/1]).

%% When the write that gave the time was called, and when it was answered.
-type life() :: none | {CalledMs :: integer(), AnsweredMs :: integer()}.
-type possible() :: {ram_model:state(), life()}.

-record(lane, {table :: atom(), key :: term(), possible :: [possible(), ...]}).

%% @doc The cluster to work on, which has the tables `s' and `o'.
use(Run) ->
    persistent_term:put(?RUN, Run).

times() ->
    ?FORALL(Lanes, list({elements([default, s, o]), list(step())}), holds(wrong(Lanes))).

%%% What is done

step() ->
    frequency([{4, {pause, range(1, 500)}}, {4, {range(1, ?NODES), lasting()}},
               {4, {range(1, ?NODES), elements(others())}}]).

%% The key, and its table, are added later.
lasting() ->
    ?LET({Function, Ms}, {elements([put, put_old, put_new, put_many, txn, transaction, touch]),
                          range(50, 800)},
         lasting(Function, #{ttl => Ms})).

lasting(put_old, Life) -> {put, [key, 10], Life#{return => old}};
lasting(put_many, Life) -> {put_many, [[{key, 20}]], Life};
lasting(txn, Life) -> {txn, [[], [{in, table, {put, key, 30, Life}}], []], #{}};
lasting(transaction, Life) -> {transaction, [[{put, table, key, 40, Life}]], #{}};
lasting(touch, #{ttl := Ms}) -> {touch, [key, Ms], #{}};
lasting(Function, Life) -> {Function, [key, 50], Life}.

others() ->
    [{put, [key, 60], #{}}, {put, [key, 70], #{return => old}}, {touch, [key, infinity], #{}},
     {update, [key, 80, {set, 90}], #{return => new}}, {get_and_update, [key, wrap], #{}},
     {get_and_update, [key, keep], #{}}, {delete, [key], #{}}, {take, [key], #{}},
     {fetch, [key], #{}}, {member, [key], #{}}, {get_many, [[key]], #{}},
     {get, [key, none], #{reads => quorum}}, left].

of_key(Key, Table, {transaction, _, _} = Operation) -> replaced(Key, Table, Operation);
of_key(Key, Table, {txn, _, _} = Operation) -> replaced(Key, Table, Operation);
of_key(Key, Table, {Function, Arguments, Options}) ->
    {Function, replaced(Key, Table, Arguments), Options#{table => Table}}.

replaced(Key, _Table, key) -> Key;
replaced(_Key, Table, table) -> Table;
replaced(Key, Table, Tuple) when is_tuple(Tuple) ->
    list_to_tuple(replaced(Key, Table, tuple_to_list(Tuple)));
replaced(Key, Table, List) when is_list(List) -> [replaced(Key, Table, Part) || Part <- List];
replaced(_Key, _Table, Other) -> Other.

%%% How it is done

%% Each in a process; a moment for all to end.
wrong(Lanes) ->
    Case = erlang:unique_integer([positive]),
    Running = [spawn_monitor(fun() -> exit({done, lane({Case, N}, Table, Steps)}) end)
               || {N, {Table, Steps}} <- lists:zip(lists:seq(1, length(Lanes)), Lanes)],
    lists:append([receive
                      {'DOWN', Monitor, process, Pid, {done, Wrong}} -> Wrong;
                      {'DOWN', Monitor, process, Pid, Reason} -> [Reason]
                  end || {Pid, Monitor} <- Running]).

lane(Key, Table, Steps) ->
    Begin = #lane{table = Table, key = Key,
                  possible = [{ram_model:new(#{s => set, o => ordered_set}), none}]},
    try
        ok = until_it_goes(lists:foldl(fun step/2, Begin, Steps)),
        []
    catch
        throw:{wrong, Why} -> [{Key, Table, Why}]
    end.

step({pause, Ms}, Lane) ->
    timer:sleep(Ms),
    Lane;
step({Node, left}, #lane{table = Table, key = Key} = Lane) ->
    decided(left, timed(Node, ram, ttl, [Key, #{table => Table}]), Lane);
step({Node, Operation}, #lane{table = Table, key = Key} = Lane) ->
    Of = of_key(Key, Table, Operation),
    decided(Of, timed(Node, ram_model_call, perform, [0, Of]), Lane).

timed(Node, Module, Function, Arguments) ->
    Called = now_ms(),
    Answer = ram_peers:call(persistent_term:get(?RUN), Node, Module, Function, Arguments),
    {Called, Answer, now_ms()}.

now_ms() -> erlang:monotonic_time(millisecond).

%% A key that has a time goes, on whatever node one looks; one that has none is there for all.
until_it_goes(#lane{possible = Possible} = Lane) ->
    Looked = lists:foldl(fun(Node, Each) -> step({Node, {member, [key], #{}}}, Each) end, Lane,
                         lists:seq(1, ?NODES)),
    case [Life || {_, Life} <- Possible, Life =/= none] of
        [] -> ok;
        _ -> timer:sleep(?POLL_MS), until_it_goes(Looked)
    end.

%%% What may be

%% What was possible and is no longer, since something else was answered, is out.
decided(Operation, {Called, Answer, Answered}, #lane{possible = Possible} = Lane) ->
    Now = [After || {State, Life} <- Possible,
                    Before <- may_be(State, Life, Called, Answered, Lane),
                    After <- after_it(Operation, Answer, Called, Answered, Before, Lane)],
    case lists:usort(Now) of
        [] -> throw({wrong, {Operation, Answer, {called, Called}, {answered, Answered}, Possible}});
        Still -> Lane#lane{possible = Still}
    end.

%% What an operation found that was called and answered then.
may_be(State, none, _Called, _Answered, _Lane) ->
    [{State, none}];
may_be(State, {Begun, Known} = Life, Called, Answered, #lane{table = Table, key = Key} = Lane) ->
    #{ttl := Ttl} = entry(State, Lane),
    [{State, Life} || Called =< Known + Ttl + ?LATE_MS]
        ++ [{ram_model:expire([{Table, Key}], State), none} || Answered >= Begun + Ttl].

after_it(left, Answer, _Called, Answered, {State, Life} = Before, Lane) ->
    [Before || is_left(Answer, entry(State, Lane), Life, Answered)];
after_it(Operation, Answer, Called, Answered, {State, Life}, Lane) ->
    {Expected, After} = ram_model:run(Operation, State),
    [{After, life(Operation, entry(State, Lane), entry(After, Lane), Life, {Called, Answered})}
     || agrees(Operation, Expected, Answer)].

entry(State, #lane{table = Table, key = Key}) -> ram_model:entry(Table, Key, State).

%% Others write too, so the revision is not known.
agrees({txn, _, _}, {Holds, Results, _}, Answer) -> {Holds, Results, element(3, Answer)} =:= Answer;
agrees(_Operation, Expected, Answer) -> ram_model:agrees(Expected, Answer).

life(_Operation, _Before, none, _Life, _Call) -> none;
life(_Operation, _Before, #{ttl := infinity}, _Life, _Call) -> none;
life(_Operation, Same, Same, Life, _Call) -> Life;
life({update, _, _}, _Before, _After, Life, _Call) -> Life;
life({get_and_update, _, _}, _Before, _After, Life, _Call) -> Life;
life(_Operation, _Before, _After, _Life, Call) -> Call.

is_left(Answer, none, none, _Answered) -> Answer =:= error;
is_left(Answer, #{ttl := infinity}, none, _Answered) -> Answer =:= {ok, infinity};
is_left({ok, Left}, #{ttl := Ttl}, {Begun, _}, Answered) when is_integer(Left) ->
    Left >= 0 andalso Left =< Ttl andalso Left >= Ttl - (Answered - Begun) - ?ROUNDED_MS;
is_left(_Answer, _Entry, _Life, _Answered) -> false.
