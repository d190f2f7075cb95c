%% The public API against a model: a map. Run by ram_model_SUITE on a cluster of three.
%%
%% An operation is a term. `operation/1' makes one, `model/2' says what it answers and leaves behind
%% for a given map, `perform/1' does it on a node; a new function of the API is one clause in each.
%% Every operation goes to a node of its own choice. In the parallel property several processes
%% work at once on one key, and their answers must be those of some order of all operations that
%% keeps the order of each process. Debian's PropEr comes without its header, hence the macro.
-module(ram_model_prop).
-behaviour(proper_statem).

-export([sequential/0, parallel/0, use/1]).
-export([initial_state/0, command/1, precondition/2, postcondition/3, next_state/3]).
-export([perform/2, perform/1]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(RUN, {?MODULE, run}).
-define(NODES, 3).

-import(proper_types, [oneof/1, frequency/1, range/2, elements/1]).

%% @doc The cluster to work on.
use(Run) ->
    persistent_term:put(?RUN, Run).

%%% Properties

sequential() ->
    ?FORALL(Commands, proper_statem:commands(?MODULE, {keys(), #{}}), begin
        empty(),
        {History, State, Result} = proper_statem:run_commands(?MODULE, Commands),
        holds(Result =:= ok, {Result, State, lists:sublist(lists:reverse(History), 2)})
    end).

parallel() ->
    ?FORALL(Commands, proper_statem:parallel_commands(?MODULE, {[a], #{}}), begin
        empty(),
        {Before, Parallel, Result} = proper_statem:run_parallel_commands(?MODULE, Commands),
        holds(Result =:= ok, {Result, Before, Parallel})
    end).

holds(true, _What) -> true;
holds(false, What) -> ct:log("~p", [What]), false.

empty() ->
    [ok = perform(1, {delete, Key}) || Key <- keys()].

%%% The state machine

%% The keys to work on, and the model.
initial_state() ->
    {keys(), #{}}.

command({Keys, _Map}) ->
    {call, ?MODULE, perform, [range(1, ?NODES), operation(elements(Keys))]}.

precondition(_State, _Call) ->
    true.

next_state({Keys, Map}, _Answer, {call, _, perform, [_Node, Operation]}) ->
    {Keys, element(2, model(Operation, Map))}.

postcondition({_Keys, Map}, {call, _, perform, [_Node, Operation]}, Answer) ->
    element(1, model(Operation, Map)) =:= Answer.

%%% Operations

%% Few keys, so that they meet; among them pairs that only `=:=' tells apart.
keys() ->
    [1, 1.0, a, {k, [1]}, #{k => 1.0}].

operation(Key) ->
    frequency([{3, {put, Key, value()}},
               {2, {get, Key, value()}},
               {3, {fetch, Key}},
               {2, {delete, Key}},
               {4, {update, Key, value(), oneof([{set, value()}, wrap, crash])}}]).

value() ->
    oneof([undefined, error, range(-1, 1), 0.0, <<"v">>, [], {ok, 1}, #{1 => 1.0}]).

%% What an operation answers, and the map after it.
model({put, Key, Value}, Map) ->
    {ok, Map#{Key => Value}};
model({get, Key, Default}, Map) ->
    {maps:get(Key, Map, Default), Map};
model({fetch, Key}, Map) ->
    {maps:find(Key, Map), Map};
model({delete, Key}, Map) ->
    {ok, maps:remove(Key, Map)};
model({update, Key, Default, Change}, Map) ->
    case {Map, Change} of
        {#{Key := _}, crash} -> {{raised, crash}, Map};
        {#{Key := Value}, _} -> {ok, Map#{Key := changed(Change, Value)}};
        {#{}, _} -> {ok, Map#{Key => Default}}
    end.

changed({set, Value}, _Old) -> Value;
changed(wrap, Old) -> {Old};
changed(crash, _Old) -> error(crash).

%% @doc Performs an operation on a node.
perform(Node, Operation) ->
    ram_peers:call(persistent_term:get(?RUN), Node, ?MODULE, perform, [Operation]).

perform({put, Key, Value}) -> ram:put(Key, Value);
perform({get, Key, Default}) -> ram:get(Key, Default);
perform({fetch, Key}) -> ram:fetch(Key);
perform({delete, Key}) -> ram:delete(Key);
perform({update, Key, Default, Change}) ->
    try ram:update(Key, Default, fun(Old) -> changed(Change, Old) end)
    catch error:crash -> {raised, crash}
    end.
