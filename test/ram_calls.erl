%% Calls of ram that the suites make in many places: on a node that leads and on one that does not,
%% on tables of each type, by many callers at once.
-module(ram_calls).

-compile({no_auto_import, [nodes/1]}).

-export([prepare/1, nodes/1, each/2, race_on_all/3]).
-export([race/3]).

%% @doc For init_per_suite: a cluster of three nodes with the tables `things' and `ordered'.
prepare(Config) ->
    Started = ram_case:start_cluster(Config, 3),
    [ok = ram_peers:call(ram_case:run(Started), 1, create_table, Table)
     || Table <- [[things, #{type => set}], [ordered, #{type => ordered_set}]]],
    Started.

%% @doc The node that leads, and one that does not.
nodes(Run) ->
    Leader = ram_peers:leader(Run, 1),
    [Leader, hd([1, 2, 3] -- [Leader])].

%% @doc Runs a test for each of these nodes and each table: with a function that makes a call there,
%% a key of its own, and options that name the table.
each(Run, Test) ->
    [begin
         Call = fun(Function, Arguments) -> ram_peers:call(Run, I, Function, Arguments) end,
         Options = case Table of default -> #{}; _ -> #{table => Table} end,
         Test(Call, {make_ref(), I, Table}, Options)
     end || I <- nodes(Run), Table <- [default, things, ordered]].

%% @doc What ten callers on each of the nodes are answered.
race_on_all(Run, Function, Arguments) ->
    Self = self(),
    Askers = [spawn_link(fun() ->
                                 Told = ram_peers:call(Run, I, ?MODULE, race,
                                                       [10, Function, Arguments]),
                                 Self ! {self(), Told}
                         end) || I <- [1, 2, 3]],
    lists:append([receive {Asker, Told} -> Told end || Asker <- Askers]).

%% @doc What so many callers at once are answered.
race(Callers, Function, Arguments) ->
    Started = [spawn_monitor(fun() -> exit({told, apply(ram, Function, Arguments)}) end)
               || _ <- lists:seq(1, Callers)],
    [receive {'DOWN', Monitor, process, _, {told, Told}} -> Told end || {_, Monitor} <- Started].
