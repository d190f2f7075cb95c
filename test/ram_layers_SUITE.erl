%% The arrows between Erlang modules that must not exist, asked of xref.
-module(ram_layers_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1]).
-export([only_requests_and_the_node_call_the_native_library/1,
         nothing_inside_calls_the_facade/1,
         the_facade_calls_no_process_and_no_library_directly/1,
         every_exported_function_has_a_spec/1,
         modules_keep_their_limits/1,
         tests_keep_their_width/1]).

-define(MODULES, [ram, ram_app, ram_bootstrap, ram_cluster, ram_config, ram_distribution, ram_error,
                  ram_description, ram_ending, ram_member, ram_membership, ram_naming, ram_nif,
                  ram_node, ram_opening, ram_owner, ram_reach, ram_request, ram_sup, ram_update]).

all() ->
    [Case || {Case, 1} <- ?MODULE:module_info(exports),
             not lists:member(Case, [module_info, init_per_suite, end_per_suite])].

init_per_suite(Config) ->
    {ok, Server} = xref:start([]),
    [{ok, Module} = xref:add_module(Server, code:which(Module)) || Module <- ?MODULES],
    [{xref, Server} | Config].

end_per_suite(Config) ->
    xref:stop(proplists:get_value(xref, Config)).

%% The modules that call a module.
callers(Module, Config) ->
    Query = lists:concat(["ME || ", Module, " : Mod"]),
    {ok, Calls} = xref:q(proplists:get_value(xref, Config), Query),
    lists:usort([Caller || {Caller, _} <- Calls, Caller =/= Module]).

only_requests_and_the_node_call_the_native_library(Config) ->
    ?assertEqual([ram_description, ram_member, ram_naming, ram_node, ram_opening, ram_owner,
                  ram_request], callers(ram_nif, Config)).

nothing_inside_calls_the_facade(Config) ->
    ?assertEqual([], callers(ram, Config)).

the_facade_calls_no_process_and_no_library_directly(Config) ->
    {ok, Calls} = xref:q(proplists:get_value(xref, Config), "ME | ram : Mod"),
    Called = [Module || {ram, Module} <- Calls, lists:member(Module, ?MODULES -- [ram])],
    ?assertEqual([ram_bootstrap, ram_cluster, ram_error, ram_membership, ram_node, ram_request],
                 lists:usort(Called)).

every_exported_function_has_a_spec(_Config) ->
    [begin
         {ok, {Module, [{abstract_code, {_, Forms}}]}} =
             beam_lib:chunks(code:which(Module), [abstract_code]),
         Specs = [Name || {attribute, _, spec, {Name, _}} <- Forms],
         Exports = Module:module_info(exports) -- [{module_info, 0}, {module_info, 1}],
         ?assertEqual({Module, []}, {Module, Exports -- Specs})
     end || Module <- ?MODULES].

modules_keep_their_limits(_Config) ->
    [begin
         Source = proplists:get_value(source, Module:module_info(compile)),
         {ok, Text} = file:read_file(Source),
         Max = case Module of ram -> 800; _ -> 400 end,
         ?assert(length(binary:split(Text, <<"\n">>, [global])) =< Max),
         ?assertEqual({Module, []}, {Module, wide(Text)})
     end || Module <- ?MODULES].

tests_keep_their_width(_Config) ->
    Folder = filename:dirname(proplists:get_value(source, ?MODULE:module_info(compile))),
    Sources = filelib:wildcard(filename:join(Folder, "*.erl")),
    ?assert(length(Sources) > 20),
    [begin
         {ok, Text} = file:read_file(Source),
         ?assertEqual({Source, []}, {Source, wide(Text)})
     end || Source <- Sources].

wide(Text) ->
    [Line || Line <- binary:split(Text, <<"\n">>, [global]), string:length(Line) > 100].
