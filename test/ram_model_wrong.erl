%% Calls of ram with one thing that is wrong: an option that it does not know, a value that an
%% option cannot have, an argument of another kind. Each is `{wrong, Function, Arguments, Word}',
%% with a word that the explanation has to have; or `{wrong_inside, ...}', a call of ram_tx, whose
%% first argument is not among these.
-module(ram_model_wrong).

-export([operation/1, all/1]).

-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).

-import(proper_types, [oneof/1, frequency/1, elements/1]).

operation(Keys) ->
    Call = oneof(calls(elements(Keys))),
    frequency([{6, ?LET({Function, Arguments}, Call, wrong_option(Function, Arguments))},
               {1, ?LET({{Function, Arguments}, Other}, {Call, elements([[], [{table, o}], o])},
                        {wrong, Function, Arguments ++ [Other], "map of options"})},
               {3, elements([{wrong, Function, Arguments, Word}
                             || {Function, Arguments, Word} <- wrong_arguments()])}]).

wrong_option(Function, Arguments) ->
    ?LET({Option, Value}, elements(wrong_options(Function)),
         with_option(Function, Arguments, Option, Value)).

with_option(Function, Arguments, Option, Value) ->
    Right = case lists:member(table, ram_model_options:known(Function)) of
                true -> #{table => o};
                false -> #{timeout => 60000}
            end,
    {wrong, Function, Arguments ++ [Right#{Option => Value}],
     lists:flatten(io_lib:format("~0tp", [Option]))}.

%% Each option that the call knows with each value that is wrong, and each that it does not know
%% with values that others take.
wrong_options(Function) ->
    Known = ram_model_options:known(Function),
    Unknown = [Option || Option <- [expec, "table" | maps:keys(values())],
                         not lists:member(Option, Known)],
    [{Option, wrong_for(Function, Option, Value)}
     || {Of, Part} <- [{Known, 2}, {Unknown, 1}], Option <- Of,
        Value <- element(Part, maps:get(Option, values(), {[1], [1]}))].

%% @doc All of them, on a key.
-spec all(term()) -> [ram_model:operation()].
all(Key) ->
    [with_option(Function, Arguments, Option, Value)
     || {Function, Arguments} <- calls(Key), {Option, Value} <- wrong_options(Function)]
        ++ [{wrong, Function, Arguments, Word} || {Function, Arguments, Word} <- wrong_arguments()]
        ++ [{wrong_inside, Function, Arguments, Word} || {Function, Arguments, Word} <- inside()].

%% Values that are right, and some that no call takes.
values() ->
    #{table => {[o], ["o", 7, {o}, '', <<"o">>]},
      timeout => {[60000, infinity], [-1, 1.5, soon, 1 bsl 32]},
      reads => {[lease], [fast, true, "lease"]},
      at_least => {[1], [0, -1, 1.0, now, {rev, 1}, 1 bsl 60]},
      return => {[ok], [version, true, "rev"]},
      expect => {[absent], [here, {rev, 0}, {rev, -1}, {rev, a}, {value}, {'=:=', 1}]},
      retries => {[1], [-1, 1.0, many]},
      limit => {[2], [0, -1, 2.0, infinity, all]},
      reverse => {[true], [1, yes, undefined]},
      keys_only => {[true], [0, yes, []]},
      continuation => {[done], [done, start, {1, 2}, make_ref()]},
      ttl => {[60000], [0, -1, 1.5, soon, 315360000001, 1 bsl 70, <<"1">>]},
      type => {[set], [bag, ordered, duplicate_bag, "set"]}}.

%% Of `return' and `retries' some calls take what others do not.
wrong_for(Function, return, ok) when Function =/= put -> new;
wrong_for(_Function, _Option, Value) -> Value.

calls(Key) ->
    [{put, [Key, 1]}, {put_new, [Key, 1]}, {cas, [Key, absent, 1]}, {delete, [Key]}, {take, [Key]},
     {touch, [Key, 60000]}, {ttl, [Key]},
     {update, [Key, 1, fun erlang:is_atom/1]}, {get_and_update, [Key, fun erlang:is_atom/1]},
     {update_counter, [Key, 1, 0]}, {get, [Key, 1]}, {fetch, [Key]}, {lookup, [Key]},
     {member, [Key]}, {get_many, [[Key]]}, {size, []}, {txn, [[], [{put, Key, 1}], []]},
     {transaction, [fun erlang:is_atom/1]}, {put_many, [[{Key, 1}]]}, {delete_many, [[Key]]},
     {delete_range, ['$first', '$last']}, {create_table, [new]}, {fold, [fun erlang:max/2, 0]},
     {foreach, [fun erlang:is_atom/1]}, {to_list, []}, {keys, []}, {select, [[{'_', [], ['$_']}]]},
     {range, ['$first', '$last']}, {prefix, [<<>>]}, {first, []}, {last, []}, {next, [Key]},
     {prev, [Key]}].

wrong_arguments() ->
    Local = local_fun(),
    O = #{table => o},
    [{put, [Local, 1], "local fun"}, {put, [{a, [Local]}, 1, O], "local fun"},
     {get, [Local], "local fun"}, {lookup, [Local, O], "local fun"},
     {get_many, [[a, Local]], "local fun"}, {put_many, [[{a, 1}, {Local, 1}], O], "local fun"},
     {delete_many, [[a, Local]], "local fun"}, {next, [Local, O], "local fun"},
     {range, [Local, 1, O], "local fun"}, {range, [1, Local, O], "local fun"},
     {delete_range, [1, Local, O], "local fun"}, {take, [Local, O], "local fun"},
     {update, [Local, 1, fun erlang:is_atom/1], "local fun"},
     {update_counter, [Local, 1], "local fun"}, {cas, [Local, absent, 1], "local fun"},
     {get_and_update, [Local, fun erlang:is_atom/1], "local fun"},
     {put_many, [[{a, 1}, b]], "element 2"}, {put_many, [a], "list"},
     {put_many, [[{a, 1} | b]], "improper"}, {delete_many, [[a | b]], "improper"},
     {get_many, [a], "list"}, {get_many, [[a | b], O], "improper"},
     {cas, [a, here, 1], "absent"}, {cas, [a, {rev, 0}, 1, O], "absent"},
     {update, [a, 1, 2], "fun"}, {update, [a, 1, fun erlang:max/2, O], "fun"},
     {get_and_update, [a, fun erlang:max/2], "fun"}, {transaction, [fun erlang:max/2], "fun"},
     {fold, [fun erlang:is_atom/1, 0], "fun"}, {foreach, [fun erlang:max/2, O], "fun"},
     {update_counter, [a, 1.0], "integer"}, {update_counter, [a, {1, 2}], "integer"},
     {update_counter, [a, {1, 2, b}, 0, O], "integer"}, {update_counter, [a, 1, b], "integer"},
     {txn, [[{a, here}], [], []], "element 1"}, {txn, [[], [{put, a}], []], "element 1"},
     {txn, [[], [], [{get, a}, {add, a, 1}], O], "element 2"}, {txn, [[], a, []], "operations"},
     {txn, [[{a, rev, '>=', 1}], [], []], "element 1"},
     {txn, [[{in, "o", {a, absent}}], [], []], "element 1"},
     {txn, [[], [{in, o, {in, o, {get, a}}}], []], "element 1"},
     {create_table, ["t", #{}], "name"}, {create_table, ['', #{}], "name"},
     {drop_table, [7], "name"}, {drop_table, [default], "default"}, {info, ["t"], "name"},
     {select, [a], "match specification"}, {select, [[{'_', [], ['$1']}], O], "specification"},
     {prefix, [a, O], "binary"}, {prefix, [<<1:3>>, O], "binary"}, {prefix, [[a | b], O], "list"},
     {prefix, [{tuple, 1, [a, b]}, O], "tuple"}, {prefix, [{tuple, -1, []}, O], "tuple"},
     {delete_range, ['$first', '$first', O], "end"}, {delete_range, ['$last', '$last', O], "end"},
     {range, [1, 2], "set"}, {range, ['$last', 1, #{table => s}], "set"},
     {range, [1, '$first'], "set"}, {range, ['$first', '$first'], "set"},
     {prefix, [<<>>], "set"}, {first, [], "set"}, {last, [#{table => s}], "set"},
     {next, [a], "set"}, {prev, [a, #{table => s}], "set"}, {delete_range, [1, 2], "set"}
     | times() ++ local_funs_in_prefixes()].

times() ->
    O = #{table => o},
    [{touch, [local_fun(), 1], "local fun"}, {ttl, [local_fun(), O], "local fun"},
     {touch, [a, 0], "milliseconds"}, {touch, [a, 1.0, O], "milliseconds"},
     {touch, [a, 315360000001], "milliseconds"}, {touch, [a, never, O], "milliseconds"},
     {txn, [[], [{put, a, 1, #{ttl => 0}}], []], "element 1"},
     {txn, [[], [{put, a, 1, #{return => rev}}], [], O], "element 1"}].

local_funs_in_prefixes() ->
    [{prefix, [Prefix, #{table => o}], "local fun"}
     || Prefix <- [[local_fun()], {tuple, 2, [local_fun()]}]].

inside() ->
    Local = local_fun(),
    [{Function, Arguments ++ [Options], Word}
     || {Function, Arguments} <- [{get, [k, 1]}, {fetch, [k]}, {put, [k, 1]}, {delete, [k]}],
        {Options, Word} <- [{#{tabel => o}, "tabel"}, {#{table => "o"}, "table"},
                            {#{table => ''}, "table"}, {#{timeout => 1}, "timeout"},
                            {#{reads => local}, "reads"}, {[], "map of options"}]]
        ++ [{put, [k, 1, #{ttl => Ttl}], "ttl"} || Ttl <- [0, 0.5, "1", 315360000001]]
        ++ [{get, [k, 1, #{ttl => 60000}], "ttl"}]
        ++ [{range, [1, 2, Options#{table => o}], Word}
            || {Options, Word} <- [{#{limit => 0}, "limit"}, {#{limit => all}, "limit"},
                                   {#{reverse => 1}, "reverse"}, {#{keys_only => 1}, "keys_only"},
                                   {#{continuation => done}, "continuation"}]]
        ++ [{range, [1, 2, #{}], "set"}, {range, ['$last', 1, #{table => s}], "set"},
            {range, [1, 2, o], "map of options"}, {range, [1, Local, #{table => o}], "local fun"},
            {range, [{key, Local}, 1, #{table => o}], "local fun"}, {get, [Local], "local fun"},
            {fetch, [{Local}, #{table => o}], "local fun"}, {put, [[Local], 1], "local fun"},
            {delete, [Local, #{table => o}], "local fun"}].

local_fun() -> fun() -> local end.
