%% Owned keys against the model, with owners that live and end. Run by ram_model_SUITE.
%%
%% Processes begin and end on each node of a cluster, and one process performs operations on a few
%% keys, of which most writes give an owner: one of these processes, wherever it is and whether it
%% has ended or not, or a node. A key whose owner has ended goes at some moment: until an answer
%% decides, it is possible that it is there and that it has gone. It must be gone soon; all others
%% stay, whatever ends, and no process is told that it lost a key. The revisions that the leader
%% takes for what it ends lie between those of the operations, so after each the present one is
%% asked. Debian's PropEr comes without its header, hence the macros.
-module(ram_owner_prop).

-export([owners/0, use/1]).
%% Called on the nodes.
-export([perform_as_it_ends/3]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
-define(RUN, {?MODULE, run}).
-define(NODES, [1, 2, 3]).
-define(TABLES, #{s => set, o => ordered_set}).
%% At once; and what a busy machine is given.
-define(LATE_MS, ram_case:amount(20000, 2000)).
-define(POLL_MS, 20).

-import(ram_property, [holds/1]).
-import(proper_types, [oneof/1, frequency/1, range/2, elements/1, list/1]).
-import(ram_model_options, [call_on/4, few/1, return/1]).

-type owner() :: {Node :: pos_integer(), pid(), living | ended}.

-record(run, {%% The oldest first.
              owners :: [owner()],
              possible :: [ram_model:state(), ...],
              %% Whatever was written later has a later one.
              rev :: ram:rev()}).

%% @doc The cluster to work on.
use(Run) ->
    persistent_term:put(?RUN, Run).

owners() ->
    ?FORALL(Steps, list(step()), holds(wrong(Steps))).

%%% What is done

step() ->
    Node = elements(?NODES),
    frequency([{2, {begins, Node}}, {2, {ends, range(1, 9)}}, {1, {pause, range(1, 60)}},
               {1, {ends, range(1, 9), range(0, 1000), write()}}, {2, taken_over()},
               {6, {Node, write()}}, {2, {Node, change()}}, {5, {Node, read()}}]).

key() -> elements([a, b]).

%% `t' is never there.
table() -> frequency([{6, elements([default, s, o])}, {1, t}]).

value() -> range(1, 9).

%% Of the process with this number, when they are counted again and again.
given() ->
    Owner = frequency([{5, {process, range(1, 9)}}, {1, {node, elements(?NODES)}}, {2, nobody}]),
    ?LET(Of, Owner, case Of of nobody -> #{}; _ -> #{owner => Of} end).

write() ->
    oneof([owned(put, [key(), value()], [return([ok, rev, old])]),
           owned(put, [key(), value()], [return([ok, rev]), {expect, expected()}]),
           owned(put_new, [key(), value()], [{ttl, ttl()}]),
           owned(cas, [key(), expected(), value()], [{ttl, ttl()}]),
           call_of(put_many, [few({key(), value()})], [return([ok, rev]), {ttl, ttl()}]),
           {txn, [few(condition()), few(command()), few(command())], none},
           {transaction, [few(oneof([{put, table(), key(), value(), given()},
                                     {fetch, table(), key()}, {delete, table(), key()}]))],
            none}]).

owned(Function, Arguments, Specs) ->
    ?LET({{_, Of, Options}, Given}, {call_of(Function, Arguments, Specs), given()},
         {Function, Of, ram_model_options:given(Options, Given)}).

call_of(Function, Arguments, Specs) ->
    ?LET(Table, table(), call_on(Table, Function, Arguments, Specs)).

%% Whole hours: see ram_model.
ttl() -> elements([3600000, infinity]).

expected() -> oneof([absent, present, {value, value()}]).

condition() -> {in, table(), oneof([{key(), absent}, {key(), present}, {key(), '=:=', value()}])}.

command() ->
    {in, table(), oneof([{put, key(), value(), given()}, {put, key(), value()}, {take, key()},
                         {get, key()}])}.

%% What one owns is another's as it ends, or nobody's.
taken_over() ->
    ?LET({Node, N, Table, AfterUs, Given}, {elements(?NODES), range(1, 9), table(),
                                            range(0, 1000), given()},
         [{Node, both(Table, 1, #{owner => {process, N}})},
          {ends, N, AfterUs, both(Table, 2, Given)}]).

both(Table, Value, Given) ->
    {txn, [[], [{in, Table, {put, Key, Value, Given}} || Key <- [a, b]], []], none}.

%% What keeps the owner, and what ends the key.
change() ->
    frequency([{3, call_of(update, [key(), value(), {set, value()}], [return([ok, rev, new])])},
               {3, call_of(get_and_update, [key(), oneof([keep, delete, {set, value()}])], [])},
               {2, call_of(update_counter, [key(), value(), value()], [])},
               {2, call_of(touch, [key(), ttl()], [])},
               {3, call_of(delete, [key()], [return([ok, rev, old])])},
               {1, {drop_table, [elements([s, o])], none}},
               {2, {create_table, [s], #{type => set}}},
               {2, {create_table, [o], #{type => ordered_set}}}]).

read() ->
    oneof([call_of(lookup, [key()], [{reads, elements([lease, quorum])}]),
           call_of(lookup, [key()], []), call_of(fetch, [key()], []),
           call_of(member, [key()], []), call_of(to_list, [], []), call_of(size, [], []),
           call_of(get_many, [[a, b]], [])]).

%%% How it is done

wrong(Steps) ->
    Base = on(1, ram_model_call, empty, [?TABLES]),
    State = (ram_model:new(?TABLES))#{rev := Base},
    Begin = lists:foldl(fun begins/2, #run{owners = [], possible = [State], rev = Base}, ?NODES),
    ram_property:wrong(fun() -> all_end(until_they_go(lists:foldl(fun step/2, Begin, Steps))) end).

step(Steps, Run) when is_list(Steps) ->
    lists:foldl(fun step/2, Run, Steps);
step({begins, Node}, Run) ->
    begins(Node, Run);
step({ends, N}, #run{owners = Owners} = Run) ->
    ends(nth(N, Owners), Run);
step({ends, N, AfterUs, Symbolic}, #run{owners = Owners} = Run) ->
    {Node, Pid, _} = Owner = nth(N, Owners),
    Operation = real(Symbolic, Owners),
    Answer = on(Node, ?MODULE, perform_as_it_ends, [Pid, AfterUs, Operation]),
    decided(Node, Operation, Answer, ended(Owner, Run));
step({pause, Ms}, Run) ->
    timer:sleep(Ms),
    Run;
step({Node, Symbolic}, #run{owners = Owners} = Run) ->
    Operation = real(Symbolic, Owners),
    decided(Node, Operation, on(Node, ram_model_call, perform, [0, Operation]), Run).

%% @doc Ends a process, and performs the operation before anybody is told, or a little later.
-spec perform_as_it_ends(pid(), non_neg_integer(), ram_model:operation()) -> term().
perform_as_it_ends(Pid, AfterUs, Operation) ->
    true = exit(Pid, kill),
    ok = busy_until(erlang:monotonic_time(microsecond) + AfterUs),
    ram_model_call:perform(0, Operation).

%% No timer of the machine is as fine.
busy_until(EndUs) ->
    erlang:monotonic_time(microsecond) >= EndUs orelse busy_until(EndUs),
    ok.

begins(Node, #run{owners = Owners} = Run) ->
    Run#run{owners = Owners ++ [{Node, on(Node, ram_holder, start, []), living}]}.

ends({_Node, _Pid, ended}, Run) ->
    Run;
ends({Node, Pid, living} = Owner, Run) ->
    Told = on(Node, ram_holder, messages, [Pid]),
    Told =:= [] orelse throw({wrong, {told, Owner, Told}}),
    ok = on(Node, ram_holder, stop, [Pid]),
    ended(Owner, Run).

ended({Node, Pid, _}, #run{owners = Owners} = Run) ->
    Run#run{owners = lists:keyreplace(Pid, 2, Owners, {Node, Pid, ended})}.

nth(N, Owners) -> lists:nth(1 + N rem length(Owners), Owners).

real({process, N}, Owners) -> element(2, nth(N, Owners));
real({node, I}, _Owners) -> ram_peers:node(persistent_term:get(?RUN), I);
real(Tuple, Owners) when is_tuple(Tuple) ->
    list_to_tuple(real(tuple_to_list(Tuple), Owners));
real(List, Owners) when is_list(List) -> [real(Part, Owners) || Part <- List];
real(#{owner := Owner} = Given, Owners) -> Given#{owner := real(Owner, Owners)};
real(Other, _Owners) -> Other.

%% Those of living owners one after the other.
all_end(#run{owners = Owners} = Run) ->
    lists:foldl(fun(Owner, Each) -> until_they_go(ends(Owner, Each)) end, Run, Owners).

%% On whatever node one looks; and all else is as it was.
until_they_go(Run) ->
    until_they_go(Run, erlang:monotonic_time(millisecond) + ?LATE_MS).

until_they_go(Run, Until) ->
    IsLate = erlang:monotonic_time(millisecond) > Until,
    Reads = [{Node, {lookup, [Key], #{table => Table}}}
             || Node <- ?NODES, Table <- [default | maps:keys(?TABLES)], Key <- [a, b]],
    #run{possible = Possible} = Looked = lists:foldl(fun step/2, Run, Reads),
    case lists:usort(lists:append([of_the_ended(State, Run) || State <- Possible])) of
        [] -> Looked;
        Stay when IsLate -> throw({wrong, {stay, Stay, Possible}});
        _ -> timer:sleep(?POLL_MS), until_they_go(Looked, Until)
    end.

on(Node, Module, Function, Arguments) ->
    ram_peers:call(persistent_term:get(?RUN), Node, Module, Function, Arguments).

%%% What may be

%% What was possible and is no longer, since something else was answered, is out.
decided(Node, Operation, Answer, #run{possible = Possible, rev = Rev} = Run) ->
    {true, [], Upto} = on(Node, ram, txn, [[], [], []]),
    Upto >= Rev orelse throw({wrong, {older, Operation, Upto, Rev}}),
    Now = [After#{rev := Upto} || State <- Possible, Before <- may_be(State, Run),
                                  Newest <- lists:seq(Rev, Upto),
                                  After <- after_it(Operation, Answer, Before#{rev := Newest}),
                                  maps:get(rev, After) =< Upto],
    case lists:usort(Now) of
        [] -> throw({wrong, {Operation, Answer, {revisions, Rev, Upto}, Possible}});
        Still -> Run#run{possible = Still, rev = Upto}
    end.

after_it(Operation, Answer, State) ->
    {Expected, After} = ram_model:run(Operation, State),
    [After || ram_model:agrees(Expected, Answer)].

%% Any of the keys whose owners have ended may have gone.
may_be(State, Run) ->
    [ram_model:expire(Gone, State) || Gone <- subsets(of_the_ended(State, Run))].

of_the_ended(#{tables := Tables}, #run{owners = Owners}) ->
    Ended = [Pid || {_, Pid, ended} <- Owners],
    [{Table, Key} || {Table, {_Type, Content}} <- maps:to_list(Tables),
                     {Key, #{owner := Owner}} <- maps:to_list(Content),
                     lists:member(Owner, Ended)].

subsets([]) -> [[]];
subsets([Place | Places]) -> lists:append([[Some, [Place | Some]] || Some <- subsets(Places)]).
