%% What the compiler does not keep: which Erlang module calls which, asked of xref; and how long
%% modules, functions and lines are.
-module(ram_layers_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1]).
-export([each_module_calls_the_modules_that_the_table_says_and_no_others/1,
         the_table_has_no_circles/1,
         every_exported_function_has_a_spec/1,
         modules_keep_their_limits/1,
         functions_keep_their_limit/1,
         lines_keep_their_width/1]).

-define(MODULE_LINES_MAX, 400).
%% Of the facade: it has nothing but calls, and a few lines for each.
-define(FACADE_LINES_MAX, 600).
%% All clauses.
-define(FUNCTION_LINES_MAX, 40).
-define(WIDTH_MAX, 100).

%% From the facade down. Nothing inside calls the facade, and only what is named here calls the
%% native library.
calls() ->
    [{ram, [ram_arguments, ram_bootstrap, ram_cluster, ram_error, ram_lock, ram_lookup,
            ram_membership, ram_node, ram_read, ram_request, ram_scan, ram_transaction, ram_txn,
            ram_watch, ram_write]},
     {ram_arguments, [ram_error]},
     {ram_app, [ram_config, ram_node, ram_sup]},
     %% It names its children; it calls none.
     {ram_sup, []},
     {ram_bootstrap, [ram_cluster, ram_distribution, ram_error, ram_membership, ram_node, ram_reach,
                      ram_request]},
     {ram_membership, [ram_cluster, ram_error, ram_node, ram_reach, ram_request]},
     {ram_reach, [ram_cluster, ram_request]},
     {ram_cluster, [ram_node, ram_request]},
     {ram_member, [ram_description, ram_distribution, ram_ending, ram_naming, ram_nif, ram_opening,
                   ram_owner, ram_request]},
     {ram_naming, [ram_config, ram_description, ram_distribution, ram_ending, ram_nif,
                   ram_opening]},
     {ram_ending, [ram_description, ram_opening, ram_request]},
     {ram_opening, [ram_description, ram_distribution, ram_error, ram_nif, ram_node, ram_request]},
     {ram_description, [ram_nif]},
     {ram_node, [ram_config, ram_nif]},
     {ram_owner, [ram_distribution, ram_nif]} | calls_of_keys()].

%% Those which are about keys.
calls_of_keys() ->
    [{ram_read, [ram_arguments, ram_config, ram_error, ram_lookup, ram_nif, ram_options,
                 ram_request]},
     {ram_tx, [ram_transaction]},
     {ram_transaction, [ram_arguments, ram_error, ram_lookup, ram_nif, ram_options, ram_owned,
                        ram_request, ram_scan, ram_txn, ram_write]},
     {ram_txn, [ram_arguments, ram_options, ram_owned, ram_request, ram_write]},
     {ram_lock, [ram_arguments, ram_error, ram_lookup, ram_options, ram_own_table, ram_request,
                 ram_scan, ram_transaction, ram_watch, ram_write]},
     {ram_own_table, [ram_arguments, ram_error, ram_owned, ram_scan, ram_write]},
     {ram_write, [ram_arguments, ram_error, ram_lookup, ram_nif, ram_options, ram_owned,
                  ram_request, ram_scan, ram_update]},
     {ram_owned, [ram_arguments, ram_error, ram_nif, ram_request]},
     {ram_watch, [ram_arguments, ram_error, ram_lookup, ram_nif, ram_options, ram_request,
                  ram_scan]},
     {ram_scan, [ram_arguments, ram_error, ram_lookup, ram_nif, ram_options, ram_request]},
     {ram_lookup, [ram_arguments, ram_error, ram_nif, ram_options, ram_request]},
     {ram_options, [ram_arguments, ram_config, ram_request]},
     {ram_request, [ram_error, ram_nif]},
     {ram_update, []},
     {ram_config, [ram_distribution]},
     {ram_distribution, []},
     %% Asked why no member runs here, when that is printed.
     {ram_error, [ram_node]},
     {ram_nif, []},
     %% Beside the facade: what OTP calls for names.
     {ram_registry, [ram_arguments, ram_lookup, ram_options, ram_own_table, ram_read, ram_request,
                     ram_write]},
     %% For whom leaves Mnesia.
     {ram_mnesia, [ram]},
     %% And for whom wants callbacks.
     {ram_watcher, [ram_watch]}].

modules() -> [Module || {Module, _} <- calls()].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    {ok, Server} = xref:start([]),
    [{ok, Module} = xref:add_module(Server, code:which(Module)) || Module <- modules()],
    [{xref, Server} | Config].

end_per_suite(Config) ->
    xref:stop(proplists:get_value(xref, Config)).

each_module_calls_the_modules_that_the_table_says_and_no_others(Config) ->
    _ = application:load(ram),
    {ok, Application} = application:get_key(ram, modules),
    ?assertEqual(lists:sort(Application), lists:sort(modules())),
    [?assertEqual({Module, lists:sort(Called)}, {Module, called(Module, Config)})
     || {Module, Called} <- calls()].

called(Module, Config) ->
    Query = lists:concat(["ME | ", Module, " : Mod"]),
    {ok, Calls} = xref:q(proplists:get_value(xref, Config), Query),
    lists:usort([Called || {_, Called} <- Calls, Called =/= Module,
                           lists:member(Called, modules())]).

the_table_has_no_circles(_Config) ->
    Graph = digraph:new(),
    [digraph:add_vertex(Graph, Module) || Module <- modules()],
    [digraph:add_edge(Graph, Module, Called) || {Module, Calls} <- calls(), Called <- Calls],
    ?assertEqual([], digraph_utils:cyclic_strong_components(Graph)).

every_exported_function_has_a_spec(_Config) ->
    [begin
         Specs = [Name || {attribute, _, spec, {Name, _}} <- forms(Module)],
         Exports = Module:module_info(exports) -- generated(),
         ?assertEqual({Module, []}, {Module, Exports -- Specs})
     end || Module <- modules()].

generated() ->
    [{module_info, 0}, {module_info, 1}, {behaviour_info, 1}].

modules_keep_their_limits(_Config) ->
    [begin
         Lines = length(counted(Module, lines(source(Module)))),
         ?assertEqual({Module, within}, {Module, within(Lines, lines_max(Module))})
     end || Module <- modules() ++ test_modules()].

functions_keep_their_limit(_Config) ->
    [begin
         Lines = length_of(Function),
         ?assertEqual({Module, Name, Arity, within},
                      {Module, Name, Arity, within(Lines, ?FUNCTION_LINES_MAX)})
     end || Module <- modules() ++ test_modules(),
            {function, _, Name, Arity, _} = Function <- forms(Module)].

%% Of the facade the code alone: its comments are the reference of the users.
counted(ram, Lines) -> [Line || Line <- Lines, not is_comment(Line)];
counted(_Module, Lines) -> Lines.

is_comment(<<"%", _/binary>>) -> true;
is_comment(_Line) -> false.

lines_max(ram) -> ?FACADE_LINES_MAX;
lines_max(_Module) -> ?MODULE_LINES_MAX.

within(Lines, Max) when Lines =< Max -> within;
within(Lines, _Max) -> Lines.

%% From its first line to its last, by the line numbers of its parts.
length_of(Function) ->
    {First, Last} = erl_parse:fold_anno(fun(Anno, {First, Last}) ->
                                                Line = erl_anno:line(Anno),
                                                {min(First, Line), max(Last, Line)}
                                        end, {infinity, 0}, Function),
    Last - First + 1.

lines_keep_their_width(_Config) ->
    [?assertEqual({Module, []},
                  {Module, [Line || Line <- lines(source(Module)),
                                    string:length(Line) > ?WIDTH_MAX]})
     || Module <- modules() ++ test_modules()].

forms(Module) ->
    {ok, {Module, [{abstract_code, {_, Forms}}]}} =
        beam_lib:chunks(code:which(Module), [abstract_code]),
    Forms.

source(Module) -> proplists:get_value(source, Module:module_info(compile)).

lines(Source) ->
    {ok, Text} = file:read_file(Source),
    binary:split(string:trim(Text, trailing), <<"\n">>, [global]).

%% Those that lie beside this one.
test_modules() ->
    Sources = filelib:wildcard(filename:join(filename:dirname(source(?MODULE)), "*.erl")),
    ?assert(length(Sources) > 20),
    [list_to_atom(filename:basename(Source, ".erl")) || Source <- Sources].
