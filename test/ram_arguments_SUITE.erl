%% Wrong arguments: badarg, with words that name the argument and what it must be.
-module(ram_arguments_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([wrong_arguments_and_options_are_named/1, the_library_refuses_lists_that_end_wrongly/1]).
%% Run on the nodes.
-export([improper_lists/0]).

suite() ->
    [{timetrap, {minutes, 1}}].

all() ->
    ram_case:all(?MODULE, [improper_lists]).

init_per_suite(Config) ->
    ram_calls:prepare(Config).

end_per_suite(Config) ->
    ram_case:stop(Config).

wrong_arguments_and_options_are_named(Config) ->
    Run = run(Config),
    Local = fun() -> ok end,
    [begin
         {Reason, Why} = ram_peers:call(Run, 1, ram_load, explained, [ram, Function, Arguments]),
         Text = maps:get(Position, Why, <<>>),
         ?assertEqual({Function, Arguments, badarg, Text, true},
                      {Function, Arguments, Reason, Text,
                       string:find(Text, Words) =/= nomatch})
     end || {Function, Arguments, Position, Words} <- of_one_key(Local) ++ of_funs(Local)
                                                     ++ of_many_keys_and_tables(Local)],
    ?assertEqual(error, ram_peers:call(Run, 1, fetch, [k])).

%% The modules of Erlang check before; whoever calls the library himself shall not make it panic.
the_library_refuses_lists_that_end_wrongly(Config) ->
    Answers = ram_peers:call(run(Config), 1, ?MODULE, improper_lists, []),
    [?assertEqual({Function, badarg}, {Function, Answer}) || {Function, Answer} <- Answers].

improper_lists() ->
    {Member, _, _} = ram_request:member(),
    Ref = make_ref(),
    Page = {false, false, 1},
    Prefix = {prefix, {tuple, 2, [a | b]}},
    [{Function, try apply(ram_nif, Function, [Member | Arguments]) catch error:Why -> Why end}
     || {Function, Arguments} <-
            [{write_many, [Ref, <<>>, [{k, <<131, 97, 1>>} | l], [], 1]},
             {write_many, [Ref, <<>>, [], [k | l], 1]},
             {transaction, [Ref, <<>>, {[{none, k, absent} | l], [], []}, 1]},
             {transaction_large, [Ref, <<>>, {[], [{get, none, k} | l], []}, 1]},
             {get_many_now, [<<>>, [k | l], {lease, 0}]},
             {get_many, [Ref, <<>>, [k | l], {lease, 0}, 1]},
             {range_now, [<<>>, Prefix, Page, {lease, 0}]},
             {range, [Ref, <<>>, {Prefix, Page}, {lease, 0}, 1]},
             {reach, [Ref, [{1, <<"localhost:1">>} | l], 1]},
             {change, [Ref, {initialize, [{1, <<"a@b">>, <<"localhost:1">>} | l]}, 1]}]].

%% The call, which of its arguments is wrong, and words that say so.
of_one_key(Local) ->
    [{put, [k, v, #{retrun => ok}], 3, "retrun is no option"},
     {put, [k, v, #{return => new}], 3, "ok or rev or old"},
     {put, [k, v, #{expect => {rev, 0}}], 3, "the option expect must be absent"},
     {put, [k, v, #{expect => gone}], 3, "gone"},
     {put, [k, v, #{table => "t"}], 3, "the option table must be the name of a table"},
     {put, [k, v, #{table => ''}], 3, "the name of a table"},
     {put, [k, v, #{timeout => -1}], 3, "the option timeout must be infinity, or"},
     {put, [k, v, #{timeout => 1 bsl 32}], 3, "4294967295"},
     {put, [k, v, [{return, rev}]], 3, "must be a map of options"},
     {put, [Local, v, #{}], 1, "local fun"},
     {put, [Local, v, #{return => old}], 1, "local fun"},
     {put_new, [k, v, #{return => rev}], 3, "return is no option"},
     {put_new, [Local, v], 1, "local fun"},
     {cas, [k, {rev, x}, v], 2, "must be absent, present, {rev, Rev} or"},
     {cas, [k, absent, v, #{expect => absent}], 4, "expect is no option"},
     {delete, [k, #{return => new}], 2, "ok or rev or old"},
     {take, [k, #{expect => absent}], 2, "expect is no option"},
     {take, [Local], 1, "local fun"}].

of_funs(Local) ->
    Id = fun(X) -> X end,
    [{update, [k, 1, Id, #{return => old}], 4, "ok or new or rev"},
     {update, [k, 1, Id, #{retries => -1}], 4, "the option retries must be infinity"},
     {update, [k, 1, Local, #{}], 3, "must be a fun of one argument"},
     {get_and_update, [k, Local], 2, "must be a fun of one argument"},
     {get_and_update, [k, Id], 2, "must return {put, New, Reply}"},
     {get_and_update, [k, Id, #{return => new}], 3, "return is no option"},
     {update_counter, [k, 1.0], 2, "must be an integer, or {Increment"},
     {update_counter, [k, {1, 2}], 2, "must be an integer, or {Increment"},
     {update_counter, [k, 1, none], 3, "must be an integer, and is none"},
     {update_counter, [k, 1, 0, #{a => b}], 4, "a is no option"}].

of_many_keys_and_tables(Local) ->
    [{put_many, [[{k, v}], #{return => old}], 2, "ok or rev"},
     {put_many, [[k], #{}], 1, "element 1"},
     {delete_many, [k, #{}], 1, "must be a list of keys"},
     {select, [[{'_', [], ['$_']}], #{keys_only => true}], 2,
      "keys_only is no option of select: the match specification says what is returned"},
     {select, [[{'_', [], ['$_']}], #{keys_only => false}], 2, "keys_only is no option"},
     {range, [{key, Local}, b, #{table => ordered}], 1, "local fun"},
     {range, [a, Local, #{table => ordered}], 2, "local fun"},
     {range, [a, {key, Local}, #{table => ordered, limit => 1}], 2, "local fun"},
     {delete_range, [Local, b, #{table => ordered}], 1, "local fun"},
     {delete_range, [a, {key, Local}, #{table => ordered}], 2, "local fun"},
     {delete_range, [a, b, #{}], general, "the table default is a set"},
     {delete_range, ['$first', '$first'], 2, "the other end of the table"},
     {delete_range, ['$last', '$last', #{}], 2, "the other end of the table"},
     {create_table, ["t", #{}], 1, "must be the name of a table, an atom"},
     {create_table, ['', #{}], 1, "must be the name of a table, an atom"},
     {create_table, [t, #{type => bag}], 2, "set or ordered_set"},
     {create_table, [t, #{table => t}], 2, "table is no option"},
     {drop_table, [default], 1, "always there"}, {drop_table, [7], 1, "an atom"}].
