%% The calls of ram on keys and tables against a model (ram_model), on a cluster. Run by
%% ram_model_SUITE.
%%
%% ram_model_gen makes an operation, ram_model says what it answers and leaves behind, and
%% ram_model_call performs it on a node; every operation goes to a node of its own choice. In the
%% parallel properties several processes work at once on two keys, and their answers must be those
%% of some order of all operations that keeps the order of each process. Debian's PropEr comes
%% without its header, hence the macro.
-module(ram_model_prop).
-behaviour(proper_statem).

-export([sequential/1, parallel/1, not_refused/1, use/1, empty/0]).
-export([initial_state/0, command/1, precondition/2, postcondition/3, next_state/3]).
-export([perform/2]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(RUN, {?MODULE, run}).
-define(BASE, {?MODULE, base}).
-define(NODES, 3).
-define(TABLES, #{s => set, o => ordered_set}).

-import(proper_types, [range/2]).

%% @doc The cluster to work on.
use(Run) ->
    persistent_term:put(?RUN, Run).

%%% Properties

%% @doc Of all operations on a few keys, or of those that have to do with times to live, on fewer.
sequential(Kind) ->
    ?FORALL({All, Fill}, {ram_model_gen:key_sets(), proper_types:boolean()}, begin
        Keys = case Kind of all -> All; times -> lists:sublist(All, 2) end,
        Filling = filling(Keys, Fill),
        Initial = {{Kind, Keys}, lists:foldl(fun after_it/2, new(), Filling)},
        ?FORALL(Commands, proper_statem:commands(?MODULE, Initial), begin
                empty(),
                _ = [ok = perform(1, Operation) || Operation <- Filling],
                {History, _State, Result} = proper_statem:run_commands(?MODULE, Commands),
                holds(Result =:= ok, {Result, lists:sublist(lists:reverse(History), 1)})
        end)
    end).

%% What a run begins with: empty tables, or all keys in each.
filling(_Keys, false) -> [];
filling(Keys, true) ->
    Entries = lists:zip(Keys, lists:seq(1, length(Keys))),
    [{put_many, [Entries], #{table => Table}} || Table <- [default | maps:keys(?TABLES)]].

%% @doc Of a kind of operations that ram_model_gen:at_once/1 makes.
parallel(Kind) ->
    Initial = {{at_once, Kind}, new()},
    ?FORALL(Commands, proper_statem:parallel_commands(?MODULE, Initial), begin
        empty(),
        {Before, Parallel, Result} = proper_statem:run_parallel_commands(?MODULE, Commands),
        holds(Result =:= ok, {Result, Before, Parallel})
    end).

%% @doc Of all calls with one thing that is wrong those that a node does not refuse, or that change
%% something.
not_refused(Node) ->
    empty(),
    ok = perform(Node, {put_many, [[{a, 1}, {b, 2}]], #{table => o}}),
    on(Node, not_refused, [ram_model_wrong:all(a)]).

holds(true, _What) -> true;
holds(false, What) -> ct:log("~p", [What]), false.

new() -> ram_model:new(?TABLES).

%% @doc Leaves tables that are empty.
empty() ->
    persistent_term:put(?BASE, on(1, empty, [?TABLES])).

%%% The state machine: what operations there are, and the model

initial_state() ->
    {{at_once, revisions}, new()}.

command({{all, Keys}, #{rev := Rev}}) ->
    {call, ?MODULE, perform, [range(1, ?NODES), ram_model_gen:operation(Keys, Rev)]};
command({{times, Keys}, #{rev := Rev}}) ->
    {call, ?MODULE, perform, [range(1, ?NODES), ram_model_gen:of_times(Keys, Rev)]};
command({{at_once, Kind}, _Model}) ->
    {call, ?MODULE, perform, [range(1, ?NODES), ram_model_gen:at_once(Kind)]}.

precondition(_State, _Call) ->
    true.

next_state({Of, Model}, _Answer, {call, _, perform, [_Node, Operation]}) ->
    {Of, after_it(Operation, Model)}.

after_it(Operation, Model) -> element(2, ram_model:run(Operation, Model)).

postcondition({_Of, Model}, {call, _, perform, [_Node, Operation]}, Answer) ->
    ram_model:agrees(element(1, ram_model:run(Operation, Model)), Answer).

%% @doc Performs an operation on a node.
perform(Node, Operation) ->
    on(Node, perform, [persistent_term:get(?BASE), at_least(Node, Operation)]).

%% The revision that another node has answered with last.
at_least(Node, {pages, Scan, Rest, Writes}) ->
    {pages, at_least(Node, Scan), Rest, Writes};
at_least(Node, {Function, Arguments, #{at_least := now} = Options}) ->
    {true, [], Rev} = ram_peers:call(run(), Node rem ?NODES + 1, txn, [[], [], []]),
    {Function, Arguments, Options#{at_least := Rev}};
at_least(_Node, Operation) ->
    Operation.

on(Node, Function, Arguments) ->
    ram_peers:call(run(), Node, ram_model_call, Function, Arguments).

run() -> persistent_term:get(?RUN).
