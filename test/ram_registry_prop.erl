%% Names of processes against a model, with processes that live and end. Run by ram_model_SUITE.
%%
%% One step follows the other: a name is registered, taken away or looked for on some node, a
%% process begins or ends. The name of a process that has ended is free at some moment: until an
%% answer decides, both are possible, and only the node of the process knows at once. It must be
%% free soon; nobody who lives loses a name. Debian's PropEr comes without its header, hence the
%% macro.
-module(ram_registry_prop).

-export([names/0, use/1]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(RUN, {?MODULE, run}).
-define(NODES, [1, 2, 3]).
-define(NAMES, [a, {b, 1}, <<"c">>]).
%% At once; and what a busy machine is given.
-define(LATE_MS, ram_case:amount(20000, 2000)).
-define(POLL_MS, 20).

-import(ram_property, [holds/1]).
-import(proper_types, [frequency/1, range/2, elements/1, list/1]).

-type process() :: {Node :: pos_integer(), pid()}.
-type possible() :: [process() | nobody, ...].

-record(run, {id :: integer(),
              living :: [process()],
              ended = [] :: [process()],
              names :: #{Name :: term() => possible()}}).

%% @doc The cluster to work on.
use(Run) ->
    persistent_term:put(?RUN, Run).

names() ->
    ?FORALL(Steps, list(step()), holds(wrong(Steps))).

%%% What is done

%% A number is of one of the processes, when they are counted again and again.
step() ->
    Name = elements(?NAMES),
    Node = elements(?NODES),
    frequency([{1, {begins, Node}}, {2, {ends, range(1, 9)}},
               {5, {Node, {register_name, Name, range(1, 9)}}},
               {1, {Node, {unregister_name, Name}}}, {4, {Node, {whereis_name, Name}}},
               {1, {Node, names}}]).

wrong(Steps) ->
    Begin = #run{id = erlang:unique_integer(), living = [begins(Node) || Node <- ?NODES],
                 names = maps:from_list([{Name, [nobody]} || Name <- ?NAMES])},
    ram_property:wrong(fun() -> all_end(until_they_go(lists:foldl(fun step/2, Begin, Steps))) end).

begins(Node) -> {Node, on(Node, ram_holder, start, [])}.

step({begins, Node}, #run{living = Living} = Run) ->
    Run#run{living = [begins(Node) | Living]};
step({ends, _N}, #run{living = []} = Run) ->
    Run;
step({ends, N}, #run{living = Living} = Run) ->
    ends(nth(N, Living), Run);
step({Node, names}, Run) ->
    Names = registry(Node, names, []),
    lists:foldl(fun(Name, Each) ->
                        IsTaken = lists:member(real(Name, Run), Names),
                        decided(Name, Node, is_taken, IsTaken, Each)
                end, Run, ?NAMES);
step({Node, {register_name, Name, N}}, #run{living = Living, ended = Ended} = Run) ->
    {_, Pid} = Process = nth(N, Living ++ Ended),
    Answer = registry(Node, register_name, [real(Name, Run), Pid]),
    decided(Name, Node, {register, Process}, Answer, Run);
step({Node, {Function, Name}}, Run) ->
    decided(Name, Node, Function, registry(Node, Function, [real(Name, Run)]), Run).

%% Nobody took a name away from it.
ends({Node, Pid} = Process, #run{living = Living, ended = Ended} = Run) ->
    Messages = on(Node, ram_holder, messages, [Pid]),
    Messages =:= [] orelse throw({wrong, {told, Process, Messages}}),
    ok = on(Node, ram_holder, stop, [Pid]),
    Run#run{living = lists:delete(Process, Living), ended = [Process | Ended]}.

%% Their names are free when they have ended, and those of the others are not.
all_end(#run{living = []}) -> ok;
all_end(#run{living = [Next | _]} = Run) -> all_end(until_they_go(ends(Next, Run))).

until_they_go(Run) ->
    until_they_go(Run, now_ms() + ?LATE_MS).

until_they_go(Run, Until) ->
    IsLate = now_ms() > Until,
    Looks = [{Node, Look} || Node <- ?NODES,
                             Look <- [names | [{whereis_name, Name} || Name <- ?NAMES]]],
    #run{ended = Ended, names = Names} = Looked = lists:foldl(fun step/2, Run, Looks),
    case [Name || {Name, Possible} <- maps:to_list(Names), Process <- Possible,
                  lists:member(Process, Ended)] of
        [] -> Looked;
        Taken when IsLate -> throw({wrong, {not_free, Taken, Names}});
        _ -> timer:sleep(?POLL_MS), until_they_go(Looked, Until)
    end.

now_ms() -> erlang:monotonic_time(millisecond).

%%% What may be

%% What was possible and is no longer, since something else was answered, is out.
decided(Name, Node, Operation, Answer, #run{ended = Ended, names = Names} = Run) ->
    #{Name := Possible} = Names,
    Now = [After || Who <- Possible,
                    Before <- [Who | [nobody || lists:member(Who, Ended)]],
                    {Expected, After} <- [answer(Operation, Before, is_gone(Before, Node, Ended))],
                    Expected =:= Answer],
    case lists:usort(Now) of
        [] -> throw({wrong, {Node, Operation, Name, Answer, Possible, {ended, Ended}}});
        Still -> Run#run{names = Names#{Name := Still}}
    end.

%% Known on its node at once.
is_gone({Node, _} = Process, Node, Ended) -> lists:member(Process, Ended);
is_gone(_NobodyOrElsewhere, _Node, _Ended) -> false.

%% Of one name that this process has; and who has it then.
answer({register, Process}, nobody, _IsGone) -> {yes, Process};
answer({register, Process}, _Before, true) -> {yes, Process};
answer({register, _Process}, Before, false) -> {no, Before};
answer(unregister_name, _Before, _IsGone) -> {ok, nobody};
answer(whereis_name, nobody, _IsGone) -> {undefined, nobody};
answer(whereis_name, Before, true) -> {undefined, Before};
answer(whereis_name, {_Node, Pid} = Before, false) -> {Pid, Before};
answer(is_taken, Before, _IsGone) -> {Before =/= nobody, Before}.

%% No name of a run is that of another one.
real(Name, #run{id = Id}) -> {Id, Name}.

nth(N, List) -> lists:nth(1 + N rem length(List), List).

registry(Node, Function, Arguments) -> on(Node, ram_registry, Function, Arguments).

on(Node, Module, Function, Arguments) ->
    ram_peers:call(persistent_term:get(?RUN), Node, Module, Function, Arguments).
