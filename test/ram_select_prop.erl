%% ram:select against ets itself: random match specifications, right ones and wrong ones, over
%% random entries. Run by ram_select_SUITE; the comparison is made on a node.
%%
%% A head is an entry of the table, in which variables stand for some of its parts; guards and
%% bodies have all functions that ets takes, and some that it does not, with arguments of any type.
%% In the keys no integer equals a float: ets's ordered_set would take them for one key. What ets
%% does wrong in older OTPs is left out: a variable in a map that a body makes corrupts the table
%% (OTP 25, mended by its pull request 7712), and maps in keys are not always found (OTP-19070).
%% Debian's PropEr comes without its header, hence the macros.
-module(ram_select_prop).

-export([few_entries/1, many_entries/1]).
%% On the node.
-export([compare/2]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
-define(LAZY(Gen), proper_types:lazy(fun() -> Gen end)).
-define(TABLES, #{s => set, o => ordered_set}).
-define(SPECS, 8).
-define(MANY, 2500).
%% How much of a term is printed.
-define(DEPTH, 200).

-import(proper_types, [oneof/1, frequency/1, range/2, elements/1, vector/2]).

%%% Properties

%% @doc Other entries and other specifications each time.
few_entries(Run) ->
    ?FORALL(Entries, ?LET(Count, range(0, 12), vector(Count, {key(), term(2)})),
            ?FORALL(Asked, vector(?SPECS, asked(Entries, 6)),
                    agree(ram_peers:call(Run, 1, ?MODULE, compare, [Entries, Asked])))).

%% @doc So many that a scan of them takes several pages.
many_entries(Run) ->
    Entries = [{Key, {Key rem 10, Key / 4}} || Key <- lists:seq(1, ?MANY)],
    ?FORALL(Asked, vector(2, asked(Entries, 2 * ?MANY)),
            agree(ram_peers:call(Run, 1, ?MODULE, compare, [Entries, Asked]))).

agree([]) -> true;
agree(Differ) -> ct:log("~0tP", [Differ, ?DEPTH]), false.

%% @doc What differs between the answers of ets and of ram.
compare(Entries, Asked) ->
    maps:fold(fun(Table, Type, Differ) -> compare(Table, Type, Entries, Asked) ++ Differ end,
              [], ?TABLES).

compare(Table, Type, Entries, Asked) ->
    Ets = ets:new(Table, [Type]),
    true = ets:insert(Ets, Entries),
    _ = ram:create_table(Table, #{type => Type}),
    ok = ram:delete_many(ram:keys(#{table => Table}), #{table => Table}),
    ok = ram:put_many(Entries, #{table => Table}),
    Told = [{Type, Spec, Limit, told(fun() -> ets:select(Ets, Spec) end),
             [told(fun() -> select(Table, Spec, Way) end) || Way <- [whole, reverse, Limit]]}
            || {Spec, Limit} <- Asked],
    true = ets:delete(Ets),
    [One || {_, _, _, Expected, [Whole, Reversed, Paged]} = One <- Told,
            not is_same(Type, Expected, Whole)
                orelse not is_same(Type, reversed(Expected), Reversed)
                orelse not is_same(Type, Expected, Paged)].

told(Select) ->
    try Select()
    catch error:Reason -> {raised, Reason}
    end.

reversed(Items) when is_list(Items) -> lists:reverse(Items);
reversed(Raised) -> Raised.

%% A set has no order.
is_same(set, Expected, Answer) when is_list(Expected), is_list(Answer) ->
    exactly_sorted(Expected) =:= exactly_sorted(Answer);
is_same(_Type, Expected, Answer) ->
    Expected =:= Answer.

exactly_sorted(Terms) ->
    lists:sort([{Term, term_to_binary(Term, [deterministic])} || Term <- Terms]).

select(Table, Spec, whole) -> ram:select(Spec, #{table => Table});
select(Table, Spec, reverse) -> ram:select(Spec, #{table => Table, reverse => true});
select(Table, Spec, Limit) -> pages(Spec, #{table => Table, limit => Limit}).

pages(Spec, #{limit := Limit} = Options) ->
    case ram:select(Spec, Options) of
        {Items, done} when length(Items) =< Limit -> Items;
        {Items, Continuation} when length(Items) =:= Limit, Continuation =/= done ->
            Items ++ pages(Spec, Options#{continuation => Continuation});
        {Items, _Continuation} ->
            {page_of, length(Items), Limit}
    end.

%%% Entries

key() ->
    frequency([{6, key_part()}, {3, {key_part(), key_part()}}, {1, {key_part()}},
               {1, [key_part(), key_part()]}]).

key_part() ->
    elements([1, 2, 3, -7, 1 bsl 70, 0.5, 2.5, a, b, in, <<"a">>, <<"bc">>, "ab", [], {}, {a, 1}]).

term(0) ->
    elements([0, 1, 1.0, 2, -1, 0.5, 1 bsl 70, a, b, true, false, <<>>, <<"abc">>, <<5:3>>, [],
              "ab", {}, #{}, fun erlang:abs/1, list_to_pid("<0.9.0>"), {point, 1, 2}, #{a => 1}]);
term(Depth) ->
    Part = ?LAZY(term(Depth - 1)),
    frequency([{4, term(0)}, {2, {Part, Part}}, {1, {point, Part, Part}}, {1, [Part, Part]},
               {2, ?LET({One, Other}, {Part, Part}, #{a => One, b => Other})}]).

%%% Match specifications

%% With the limit of a page.
asked(Entries, LimitMax) ->
    {frequency([{30, ?LET(Count, range(1, 3), vector(Count, clause(Entries)))}, {1, []},
                {1, elements([a, [a], {'_', [], ['$_']}, [{'_', []}], [{'_', '$1', ['$_']}]])}]),
     range(1, LimitMax)}.

clause(Entries) ->
    ?LET(Head, head(Entries), begin
        Variables = case variables(Head) of [] -> ['$_']; Found -> Found end,
        {Head, oneof([[], [test(Variables)], vector(2, test(Variables))]), [body(Variables)]}
    end).

body(Variables) ->
    frequency([{1, '$_'}, {1, '$$'}, {3, {{elements(Variables), elements(Variables)}}},
               {5, expression(Variables, 2)}]).

head([]) ->
    any_head();
head(Entries) ->
    frequency([{9, ?LET({Entry, Choices}, {elements(Entries), vector(12, range(0, 11))},
                        element(1, opened(Entry, Choices)))},
               {1, any_head()}]).

any_head() ->
    oneof(['_', '$1', {'$1', '$2'}, {'_', '$1'}, {'$1', '$1'}, {'$3', '_'}, {'$1', '$2', '$3'}, a,
           {'$1', {'$2', '$3'}}, {'$1', ['$2', '$3']}, {'$100', '$0'}, {},
           {'$1', elements([#{}, #{a => '$2'}, #{a => '$3', b => '_'}, #{'$2' => 1}])}]).

%% Of a term a pattern, as the choices say, and the choices that are left.
opened(_Term, [Choice | Choices]) when Choice < 2 ->
    {'_', Choices};
opened(Term, [Choice | Choices])
  when Choice < 4; Choice < 8, not is_tuple(Term), not is_list(Term), not is_map(Term) ->
    {element(Choice rem 3 + 1, {'$1', '$2', '$3'}), Choices};
opened(Tuple, [_ | Choices]) when is_tuple(Tuple) ->
    {Opened, Rest} = lists:mapfoldl(fun opened/2, Choices, tuple_to_list(Tuple)),
    {list_to_tuple(Opened), Rest};
opened([_ | _] = List, [_ | Choices]) ->
    lists:mapfoldl(fun opened/2, Choices, List);
opened(Map, [_ | Choices]) when is_map(Map) ->
    {Opened, Rest} = lists:mapfoldl(fun opened/2, Choices, maps:values(Map)),
    {maps:from_list(lists:zip(maps:keys(Map), Opened)), Rest};
opened(Term, [_ | Choices]) ->
    {Term, Choices};
opened(Term, []) ->
    {Term, []}.

variables(Pattern) when is_tuple(Pattern) -> variables(tuple_to_list(Pattern));
variables([Head | Tail]) -> lists:usort(variables(Head) ++ variables(Tail));
variables(Map) when is_map(Map) -> variables(maps:values(Map));
variables(Atom) when is_atom(Atom) ->
    case atom_to_list(Atom) of [$$ | [_ | _]] -> [Atom]; _ -> [] end;
variables(_Other) -> [].

%% What a guard tests; now and then something that is no truth value.
test(Variables) ->
    Any = ?LAZY(expression(Variables, 1)),
    Test = ?LAZY(test(Variables)),
    frequency([{6, {compares(), elements(Variables), constant()}}, {4, {compares(), Any, Any}},
               {4, {is_a(), Any}}, {2, {joins(), Test, Test}},
               {1, {'not', Test}}, {1, {is_record, Any, point, 3}}, {1, {is_map_key, a, Any}},
               {1, Any}, {1, {joins(), Test}}, {1, {joins(), Test, Test, Test}},
               {1, elements([true, false])}]).

expression(Variables, 0) ->
    frequency([{12, elements(Variables)}, {8, constant()}, {2, elements(['$_', '$$'])},
               {1, elements([{self}, {node}])}]);
expression(Variables, Depth) ->
    Part = ?LAZY(expression(Variables, Depth - 1)),
    frequency([{20, expression(Variables, 0)},
               {2, {{Part, Part}}}, {1, {{}}}, {2, [Part, Part]},
               {1, ?LET({One, Other}, {constant(), constant()}, #{a => One, Other => b})},
               {5, {calculates(), Part, Part}},
               {2, {elements(['bsl', 'bsr']), Part, range(-70, 70)}},
               {5, {of_one(), Part}}, {2, {is_a(), Part}}, {2, {compares(), Part, Part}},
               {2, {element, range(0, 3), Part}}, {1, {element, Part, Part}},
               {1, {map_get, a, Part}}, {1, {map_get, Part, Part}}, {1, {is_map_key, Part, Part}},
               {1, {binary_part, Part, range(-1, 2), range(-1, 3)}}, {1, {joins(), Part, Part}},
               {1, {is_record, Part, point, range(2, 4)}},
               {1, ?LAZY(refused(Part))}]).

constant() ->
    frequency([{4, range(-2, 4)},
               {2, elements([0.5, 1.0, a, true, false, <<"ab">>, [], "ab", #{}, 1 bsl 70])},
               {1, {const, term(1)}}]).

joins() -> elements(['and', 'or', 'xor', 'andalso', 'orelse']).

compares() -> elements(['>', '>=', '<', '=<', '=:=', '==', '=/=', '/=']).

calculates() -> elements(['+', '-', '*', '/', 'div', 'rem', 'band', 'bor', 'bxor']).

of_one() ->
    elements([abs, hd, tl, length, map_size, node, round, trunc, size, bit_size, byte_size, float,
              'not', 'bnot', '-', '+']).

is_a() ->
    elements([is_atom, is_float, is_integer, is_list, is_number, is_pid, is_port, is_reference,
              is_tuple, is_map, is_binary, is_function]).

%% Whether ets takes these depends on its version, and on what is to be traced.
refused(Part) ->
    oneof(['$4', {ceil, Part}, {floor, Part}, {tuple_size, Part}, {is_boolean, Part},
           {max, Part, Part}, {foo}, {foo, Part}, {Part}, {Part, Part, Part}, {element, Part},
           {return_trace}, {message, Part}, {get_tcw}, {caller}, {'+'}, {length, Part, Part}]).
