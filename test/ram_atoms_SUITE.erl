%% Atoms are never collected, and a virtual machine that runs out of them dies: values that a node
%% never reads cost it none.
-module(ram_atoms_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([atoms_of_values_come_to_life_where_they_are_read_and_nowhere_else/1,
         nodes_that_could_not_hold_the_atoms_of_each_other_serve_on_and_start_again/1]).
%% On the nodes.
-export([put/2, room/0, count/0, unread/1, same/2]).

%% Of each node's table of atoms: room for its own and those of one other, and not of both.
-define(ATOMS_MAX, "60000").
-define(ATOMS_PER_VALUE, 100).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE, [unread]).

init_per_suite(Config) ->
    ram_case:start_cluster(Config, 3, [], #{args => ["+t", ?ATOMS_MAX]}).

end_per_suite(Config) ->
    ram_case:stop(Config).

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments, 60000).

%% Also of names that are no Latin-1, and of atoms that are keys of maps and the whole value.
atoms_of_values_come_to_life_where_they_are_read_and_nowhere_else(Config) ->
    Run = run(Config),
    Before = on(Run, 2, count, []),
    ok = on(Run, 1, put, [few, 3000]),
    ok = ram_peers:call(Run, 1, put, [whole, list_to_atom("a name of node 1")]),
    ok = ram_peers:call(Run, 1, put, [wide, #{list_to_atom([960, 961, 962]) => [ok]}]),
    ok = ram_peers:call(Run, 2, put, [last, 1]),
    ?assert(on(Run, 2, count, []) < Before + 500),
    [?assert(on(Run, 2, same, [few, 3000])) || _ <- "twice"],
    ?assertEqual({ok, 'a name of node 1'}, ram_peers:call(Run, 2, fetch, [whole])),
    ?assertEqual({ok, #{list_to_atom([960, 961, 962]) => [ok]}},
                 ram_peers:call(Run, 2, fetch, [wide])),
    ?assert(on(Run, 2, count, []) >= Before + 3000),
    %% Put anew where they are known by now: as fast to read as any other value.
    ok = on(Run, 1, put, [few, 3000]),
    ?assert(on(Run, 2, same, [few, 3000])),
    ?assert(on(Run, 3, count, []) < Before + 500).

nodes_that_could_not_hold_the_atoms_of_each_other_serve_on_and_start_again(Config) ->
    Run = run(Config),
    Counts = [{I, on(Run, I, room, []) * 2 div 3} || I <- [1, 2, 3]],
    [ok = on(Run, I, put, [{many, I}, Count]) || {I, Count} <- Counts],
    [?assert(on(Run, I, same, [{many, I}, Count])) || {I, Count} <- Counts],
    ram_peers:kill(Run, 2),
    ram_peers:start_node(Run, 2),
    ok = ram_peers:call(Run, 2, start, []),
    ok = ram_peers:call(Run, 2, put, [again, there]),
    ?assert(on(Run, 2, unread, [3])),
    ?assertEqual(there, ram_peers:call(Run, 3, get, [again])).

%%% On the nodes

count() -> erlang:system_info(atom_count).

room() -> erlang:system_info(atom_limit) - count().

put(Name, Count) ->
    lists:foreach(fun({N, Atoms}) -> ok = ram:put({Name, N}, Atoms) end, values(Name, Count)).

same(Name, Count) ->
    lists:all(fun({N, Atoms}) -> ram:fetch({Name, N}) =:= {ok, Atoms} end, values(Name, Count)).

%% @doc Whether a value is there, without a look at it.
unread(I) ->
    ram:update({{many, I}, 1}, none, fun(_) -> none end) =:= ok.

values(Name, Count) ->
    [{N, [{atom(Name, N, M)} || M <- lists:seq(1, ?ATOMS_PER_VALUE)]}
     || N <- lists:seq(1, Count div ?ATOMS_PER_VALUE)].

atom(Name, N, M) ->
    list_to_atom(lists:flatten(io_lib:format("~p ~b ~b", [Name, N, M]))).
