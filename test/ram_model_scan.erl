%% What scans and ranges answer, for ram_model: over the content of a table, in an order of its own.
-module(ram_model_scan).

-export([answer/4, range/3, begins/2, is_before/2]).

-type content() :: #{Key :: term() => #{value := term(), atom() => term()}}.

%% @doc Throws `not_ordered' where a set has no answer.
-spec answer(atom(), [term()], map(), {set | ordered_set, content()}) -> term().
answer(fold, [], Options, Of) ->
    all(maps:with([reverse], Options), Of);
answer(fold, [crash], _Options, {_, Content}) ->
    case map_size(Content) of 0 -> []; _ -> {raised, crash} end;
answer(foreach, [], Options, Of) ->
    all(maps:with([reverse], Options), Of);
answer(to_list, [], Options, Of) ->
    all(Options, Of);
answer(keys, [], Options, Of) ->
    all(Options#{keys_only => true}, Of);
answer(select, [Spec], Options, Of) ->
    select(Spec, all(maps:with([reverse], Options), Of));
answer(_Function, _Arguments, _Options, {set, _}) ->
    throw(not_ordered);
answer(range, [From, To], Options, {ordered_set, Content}) ->
    shown(Options, range(From, To, Content));
answer(prefix, [Prefix], Options, {ordered_set, Content}) ->
    shown(Options, [Entry || {Key, _} = Entry <- sorted(Content), begins(Key, Prefix)]);
answer(first, [], _Options, {ordered_set, Content}) ->
    one(sorted(Content));
answer(last, [], _Options, {ordered_set, Content}) ->
    one(lists:reverse(sorted(Content)));
answer(next, [Key], _Options, {ordered_set, Content}) ->
    one([Entry || {Other, _} = Entry <- sorted(Content), is_before(Key, Other)]);
answer(prev, [Key], _Options, {ordered_set, Content}) ->
    one(lists:reverse([Entry || {Other, _} = Entry <- sorted(Content), is_before(Other, Key)])).

all(Options, {set, Content}) -> {any_order, shown(Options, sorted(Content))};
all(Options, {ordered_set, Content}) -> shown(Options, sorted(Content)).

shown(Options, Entries) ->
    Shown = case Options of
                #{keys_only := true} -> [Key || {Key, _} <- Entries];
                #{} -> Entries
            end,
    case Options of
        #{reverse := true} -> lists:reverse(Shown);
        #{} -> Shown
    end.

one([]) -> error;
one([Entry | _]) -> {ok, Entry}.

%% One entry at a time, by ets itself.
select(Spec, {any_order, Entries}) ->
    {any_order, select(Spec, Entries)};
select(Spec, Entries) ->
    Table = ets:new(one, []),
    Selected = [begin
                    true = ets:insert(Table, Entry),
                    Of = ets:select(Table, Spec),
                    true = ets:delete(Table, Key),
                    Of
                end || {Key, _} = Entry <- Entries],
    true = ets:delete(Table),
    lists:append(Selected).

%% @doc The entries from a key to another, with the ends that ram:range/2 knows.
-spec range(term(), term(), content()) -> [{term(), term()}].
range('$first', '$first', Content) -> lists:sublist(sorted(Content), 1);
range('$last', '$last', Content) -> lists:sublist(lists:reverse(sorted(Content)), 1);
range('$last', _To, _Content) -> [];
range(_From, '$first', _Content) -> [];
range(From, To, Content) ->
    [Entry || {Key, _} = Entry <- sorted(Content),
              From =:= '$first' orelse not is_before(Key, literal(From)),
              To =:= '$last' orelse not is_before(literal(To), Key)].

literal({key, Key}) -> Key;
literal(Key) -> Key.

%% @doc Whether a key has this prefix, as ram:prefix/1 takes it.
-spec begins(Key :: term(), Prefix :: term()) -> boolean().
begins(Key, {tuple, Size, First}) ->
    is_tuple(Key) andalso tuple_size(Key) =:= Size
        andalso lists:sublist(tuple_to_list(Key), length(First)) =:= First;
begins(Key, Prefix) when is_bitstring(Key), is_binary(Prefix) ->
    Bits = bit_size(Prefix),
    case Key of <<First:Bits/bitstring, _/bitstring>> -> First =:= Prefix; _ -> false end;
begins(Key, Prefix) when is_list(Key), is_list(Prefix) ->
    lists:prefix(Prefix, Key);
begins(_Key, _Prefix) ->
    false.

sorted(Content) ->
    Before = fun({One, _}, {Other, _}) -> not is_before(Other, One) end,
    lists:sort(Before, [{Key, Value} || {Key, #{value := Value}} <- maps:to_list(Content)]).

%% @doc Erlang's order, but of an integer and the float that equals it, at any depth, the integer is
%% first. Of maps those with atoms as keys.
-spec is_before(term(), term()) -> boolean().
is_before(One, Other) -> compare(One, Other) =:= before.

compare(Same, Other) when Same =:= Other ->
    same;
compare(One, Other) when is_number(One), is_number(Other), One == Other ->
    case is_integer(One) of true -> before; false -> behind end;
compare(One, Other) when is_tuple(One), is_tuple(Other), tuple_size(One) =:= tuple_size(Other) ->
    compare_all(tuple_to_list(One), tuple_to_list(Other));
compare([One | Ones], [Other | Others]) ->
    case compare(One, Other) of
        same -> compare(Ones, Others);
        Differs -> Differs
    end;
compare(One, Other) when is_map(One), is_map(Other), map_size(One) =:= map_size(Other) ->
    case {lists:sort(maps:keys(One)), lists:sort(maps:keys(Other))} of
        {Keys, Keys} ->
            compare_all([map_get(Key, One) || Key <- Keys],
                        [map_get(Key, Other) || Key <- Keys]);
        {Keys, OtherKeys} -> compare_all(Keys, OtherKeys)
    end;
compare(One, Other) when One < Other -> before;
compare(_One, _Other) -> behind.

compare_all(Ones, Others) ->
    case [Order || Order <- lists:zipwith(fun compare/2, Ones, Others), Order =/= same] of
        [] -> same;
        [First | _] -> First
    end.
