%% Random terms, and what their keys must hold. Run by ram_key_SUITE.
%%
%% The judge of order is the virtual machine itself: `first_difference/2` only finds where two terms
%% differ, to set aside what we order in our own way (exact ties, and references, funs, ports and
%% pids among themselves). Debian's PropEr comes without its header, hence the macros.
-module(ram_key_prop).

-export([round_trip/0, identity/0, order/0, hostile_bytes/0, decided/0]).
-export([term/0, rebuild/1]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
-define(LAZY(Gen), proper_types:lazy(fun() -> Gen end)).
-define(SIZED(Size, Gen), proper_types:sized(fun(Size) -> Gen end)).

-import(proper_types, [oneof/1, frequency/1, range/2, elements/1, vector/2]).

%%% Properties

round_trip() ->
    ?FORALL(T, term(), begin
        Decoded = ram_nif:key_decode(ram_nif:key_encode(T)),
        Decoded =:= T andalso first_difference(Decoded, T) =:= none
    end).

%% Identical terms, also when built in another way, have one key; all others have their own.
identity() ->
    ?FORALL({A, B}, pair(), begin
        {KeyA, KeyB} = {ram_nif:key_encode(A), ram_nif:key_encode(B)},
        Again = rebuild(A),
        (KeyA =:= KeyB) =:= (first_difference(A, B) =:= none)
            andalso (KeyA =/= KeyB orelse A =:= B)
            andalso Again =:= A
            andalso ram_nif:key_encode(Again) =:= KeyA
    end).

order() ->
    ?FORALL({A, B}, pair(), begin
        Actual = compare(ram_nif:key_encode(A), ram_nif:key_encode(B)),
        case expected(A, B) of
            undecided -> Actual =/= equal orelse A =:= B;
            Expected -> count_decided(Expected), Actual =:= Expected
        end
    end).

%% Bytes that are nearly a key are badarg, or of no term that this virtual machine has, or the one
%% key of some term.
hostile_bytes() ->
    ?FORALL({T, Edits}, {term(), vector(2, {range(0, 1 bsl 20), byte(), range(0, 3)})}, begin
        Key = lists:foldl(fun edit/2, ram_nif:key_encode(T), Edits),
        try ram_nif:key_decode(Key) of
            Other -> ram_nif:key_encode(Other) =:= Key
        catch
            error:badarg -> true;
            error:unreadable_key -> true
        end
    end).

%% How many pairs of order/0 were judged by the rules and differed.
decided() ->
    case get(decided) of undefined -> 0; Count -> Count end.

count_decided(equal) -> ok;
count_decided(_) -> put(decided, decided() + 1).

compare(A, B) when A < B -> less;
compare(A, B) when A > B -> greater;
compare(_, _) -> equal.

edit({At, Byte, How}, Key) ->
    <<Head:(At rem byte_size(Key))/binary, Old, Tail/binary>> = Key,
    case How of
        0 -> <<Head/binary, Byte, Tail/binary>>;
        1 -> <<Head/binary, (Old bxor 1), Tail/binary>>;
        2 -> <<Head/binary, Byte, Old, Tail/binary>>;
        3 when Tail =:= <<>>, Head =:= <<>> -> Key;
        3 -> <<Head/binary, Tail/binary>>
    end.

%%% The expected order

expected(A, B) ->
    case first_difference(A, B) of
        none -> equal;
        {X, Y, _} when is_reference(X), is_reference(Y); is_function(X), is_function(Y);
                       is_port(X), is_port(Y); is_pid(X), is_pid(Y) -> undecided;
        {X, Y, plain} when is_number(X), X == Y -> compare(tie(X), tie(Y));
        {X, Y, key} when is_float(X), is_float(Y), X == Y -> compare(tie(X), tie(Y));
        _ ->
            case free_key_order(A) orelse free_key_order(B) of
                true -> undecided;
                false -> compare(A, B)
            end
    end.

tie(X) when is_integer(X) -> 0;
tie(X) -> case <<X/float>> of <<1:1, _:63>> -> 1; _ -> 2 end.

%% Where Erlang's comparison comes upon two parts that are not identical, bit by bit, and whether
%% that is inside a map key.
first_difference(A, B) -> first_difference(A, B, plain).

first_difference(A, B, In) when is_tuple(A), is_tuple(B), tuple_size(A) =:= tuple_size(B) ->
    first_of(tuple_to_list(A), tuple_to_list(B), In);
first_difference([A | As], [B | Bs], In) ->
    case first_difference(A, B, In) of
        none -> first_difference(As, Bs, In);
        Found -> Found
    end;
first_difference(A, B, In) when is_map(A), is_map(B), map_size(A) =:= map_size(B) ->
    {KeysA, KeysB} = {sorted_keys(A), sorted_keys(B)},
    case first_of(KeysA, KeysB, key) of
        none -> first_of([map_get(K, A) || K <- KeysA], [map_get(K, B) || K <- KeysB], In);
        Found -> Found
    end;
first_difference(A, B, In) when is_float(A), is_float(B) ->
    case <<A/float>> =:= <<B/float>> of true -> none; false -> {A, B, In} end;
first_difference(A, B, In) ->
    case {ram_records:parts(A), ram_records:parts(B)} of
        {{Module, Name, IsExported, Names, As}, {Module, Name, IsExported, Names, Bs}} ->
            first_of(As, Bs, In);
        _ when A =:= B -> none;
        _ -> {A, B, In}
    end.

first_of(As, Bs, In) ->
    Found = [D || {A, B} <- lists:zip(As, Bs), D <- [first_difference(A, B, In)], D =/= none],
    case Found of [] -> none; [First | _] -> First end.

%% In map key order, which maps of one key show.
sorted_keys(Map) ->
    lists:sort(fun(A, B) -> #{A => 0} =< #{B => 0} end, maps:keys(Map)).

%% Is there a map whose keys Erlang and we may put in a different order?
free_key_order(Map) when is_map(Map) ->
    Keys = maps:keys(Map),
    length([K || K <- Keys, has_opaque(K)]) > 1
        orelse lists:any(fun has_map_of_atoms/1, Keys)
        orelse lists:any(fun free_key_order/1, Keys)
        orelse lists:any(fun free_key_order/1, maps:values(Map));
free_key_order([Head | Tail]) -> free_key_order(Head) orelse free_key_order(Tail);
free_key_order(Tuple) when is_tuple(Tuple) -> free_key_order(tuple_to_list(Tuple));
free_key_order([]) -> false;
free_key_order(T) -> free_key_order(values(T)).

%% Of a native record.
values(T) ->
    case ram_records:parts(T) of
        none -> [];
        {_Module, _Name, _IsExported, _Names, Values} -> Values
    end.

%% Inside map keys, maps with several atoms as keys are ordered by Erlang (OTP 27) after the numbers
%% that a node gave to the atoms, and by us after their text, as everywhere else.
has_map_of_atoms([Head | Tail]) -> has_map_of_atoms(Head) orelse has_map_of_atoms(Tail);
has_map_of_atoms([]) -> false;
has_map_of_atoms(Tuple) when is_tuple(Tuple) -> has_map_of_atoms(tuple_to_list(Tuple));
has_map_of_atoms(Map) when is_map(Map) ->
    length([Key || Key <- maps:keys(Map), is_atom(Key)]) > 1
        orelse has_map_of_atoms(maps:to_list(Map));
has_map_of_atoms(T) -> has_map_of_atoms(values(T)).

has_opaque([Head | Tail]) -> has_opaque(Head) orelse has_opaque(Tail);
has_opaque(Tuple) when is_tuple(Tuple) -> has_opaque(tuple_to_list(Tuple));
has_opaque(Map) when is_map(Map) -> has_opaque(maps:to_list(Map));
has_opaque([]) -> false;
has_opaque(T) ->
    is_reference(T) orelse is_function(T) orelse is_port(T) orelse is_pid(T)
        orelse has_opaque(values(T)).

%%% Pairs

pair() ->
    oneof([{term(), term()}, {leaf(), leaf()}, {number(), number()}, near_pair(term()),
           near_pair(map(8)), near_pair(leaf()), swapped(term())]
          ++ [near_pair(native_record(8)) || ram_records:available()]).

near_pair(Type) ->
    ?LET({T, Choice}, {Type, range(0, 1 bsl 40)}, {T, mutate(T, Choice)}).

%% A second difference behind the first, the other way round.
swapped(Type) -> ?LET({A, B}, near_pair(Type), {{A, B}, {B, A}}).

%% The term with one of its leaves changed a little.
mutate(T, N) when is_tuple(T), tuple_size(T) > 0 ->
    At = N rem tuple_size(T) + 1,
    setelement(At, T, mutate(element(At, T), N div tuple_size(T)));
mutate([Head | Tail], N) when N rem 3 =:= 0 -> [mutate(Head, N div 3) | Tail];
mutate([Head | Tail], N) -> [Head | mutate(Tail, N div 3)];
mutate(Map, N) when is_map(Map), map_size(Map) > 0 ->
    Key = lists:nth(N rem map_size(Map) + 1, maps:keys(Map)),
    More = N div map_size(Map),
    case More rem 2 of
        0 -> Map#{Key := mutate(map_get(Key, Map), More div 2)};
        1 -> maps:put(mutate(Key, More div 2), map_get(Key, Map), maps:remove(Key, Map))
    end;
mutate(T, N) ->
    case ram_records:parts(T) of
        none -> mutate_leaf(T, N rem 4);
        Parts -> mutate_record(N rem 8, Parts, N div 8)
    end.

mutate_record(0, {Module, Name, IsExported, Names, Values}, _) ->
    native_record(Module, Name, IsExported =:= 0, Names, Values);
mutate_record(1, {Module, Name, IsExported, Names, Values}, _) ->
    native_record(Name, Module, IsExported =:= 1, Names, Values);
mutate_record(2, {Module, Name, IsExported, Names, Values}, _) ->
    native_record(Module, Name, IsExported =:= 1, lists:reverse(Names), Values);
mutate_record(_, {Module, Name, IsExported, [_ | _] = Names, Values}, N) ->
    Mutated = mutate(list_to_tuple(Values), N),
    native_record(Module, Name, IsExported =:= 1, Names, tuple_to_list(Mutated));
mutate_record(_, {Module, Name, IsExported, [], []}, _) ->
    native_record(Module, Name, IsExported =:= 1, [a], [0]).

mutate_leaf(T, 0) when is_integer(T) -> T + 1;
mutate_leaf(T, 1) when is_integer(T) -> -T;
mutate_leaf(T, _) when is_integer(T), abs(T) < 1 bsl 1020 -> float(T);
mutate_leaf(T, _) when is_integer(T) -> T - 1;
mutate_leaf(T, 0) when is_float(T) -> trunc(T);
mutate_leaf(T, 1) when is_float(T) -> -T;
mutate_leaf(T, N) when is_float(T) -> <<Bits:64>> = <<T/float>>, float_of(Bits + N * 2 - 5);
mutate_leaf(T, N) when is_atom(T), N < 3 ->
    list_to_atom(lists:sublist(atom_to_list(T), 254) ++ [lists:nth(N + 1, [0, $a, 8364])]);
mutate_leaf(T, 0) when is_bitstring(T) -> <<T/bitstring, 0:1>>;
mutate_leaf(T, 1) when is_bitstring(T) -> <<T/bitstring, 0>>;
mutate_leaf(T, N) when is_bitstring(T), bit_size(T) > 0 ->
    Size = bit_size(T) - 1,
    <<Head:Size/bitstring, Last:1>> = T,
    case N of 2 -> Head; 3 -> <<Head/bitstring, (1 - Last):1>> end;
mutate_leaf(_, N) -> lists:nth(N + 1, [[], {}, #{}, 0]).

%% The same term, made in another way.
rebuild(T) when is_tuple(T) -> list_to_tuple(rebuild(tuple_to_list(T)));
rebuild([Head | Tail]) -> [rebuild(Head) | rebuild(Tail)];
rebuild(Map) when is_map(Map) ->
    Pairs = [{erlang:phash2({salt, K}), rebuild(K), rebuild(V)} || {K, V} <- maps:to_list(Map)],
    Add = fun({_, K, V}, Acc) -> Acc#{K => V} end,
    Extra = [{extra, I} || I <- lists:seq(1, 33)],
    Large = lists:foldl(Add, maps:from_list([{E, 0} || E <- Extra]), lists:sort(Pairs)),
    lists:foldl(fun maps:remove/2, Large, Extra);
rebuild(T) when is_integer(T) -> (T + (1 bsl 2000)) - (1 bsl 2000);
rebuild(T) when is_atom(T) -> binary_to_atom(atom_to_binary(T));
rebuild(T) when is_bitstring(T) ->
    Size = bit_size(T),
    <<_:3, Part:Size/bitstring, _/bitstring>> = <<5:3, T/bitstring, 1:1>>,
    Part;
rebuild(T) -> binary_to_term(term_to_binary(T)).

%%% Terms

term() -> ?SIZED(Size, term(Size)).

term(Size) when Size < 2 -> leaf();
term(Size) ->
    once({term, Size}, fun() ->
        frequency([{3, leaf()},
                   {2, ?LET(L, parts(Size), list_to_tuple(L))},
                   {2, parts(Size)},
                   {1, ?LET({L, T}, {parts(Size), leaf()}, L ++ T)},
                   {3, ?LAZY(map(Size))},
                   {1, ?LET({T, N}, {part(Size), range(1, 100)}, nest(T, N))}]
                  ++ [{2, ?LAZY(native_record(Size))} || ram_records:available()])
    end).

native_record(Size) ->
    ?LET({Module, Name, IsExported, Names, Values},
         {elements([m, 'é', 'ю']), elements([m, n]), elements([true, false]),
          elements([[b, a, 'ю', ''], [a, b, c, d]]), parts(Size)},
         native_record(Module, Name, IsExported, lists:sublist(Names, length(Values)), Values)).

native_record(Module, Name, IsExported, Names, Values) ->
    ram_records:record(Module, Name, IsExported, lists:zip(Names, Values)).

part(Size) -> ?LAZY(term(Size div 3)).

parts(Size) -> ?LET(N, range(0, 4), vector(N, part(Size))).

map(Size) ->
    once({map, Size}, fun() ->
        frequency([{8, pairs(range(0, 5), part(Size), part(Size))},
                   {4, pairs(range(1, 6), number_key(), leaf())},
                   {1, pairs(range(33, 40), oneof([number(), text_atom()]), range(0, 3))}])
    end).

pairs(Count, Key, Value) ->
    ?LET(N, Count, ?LET(Pairs, vector(N, {Key, Value}), maps:from_list(Pairs))).

number_key() ->
    once(number_key, fun() ->
        oneof([number(), range(-3, 3), small_float(), {number()}, [small_float()]])
    end).

nest(T, 0) -> T;
nest(T, N) ->
    nest(case N rem 5 of 0 -> {T}; 1 -> [T]; 2 -> [T | a]; 3 -> #{k => T}; 4 -> {1, T} end, N - 1).

leaf() ->
    once(leaf, fun() ->
        frequency([{4, number()}, {3, atom()}, {3, bits()}, {1, elements([[], {}, #{}])},
                   {1, pid_term()}, {1, port_term()}, {1, reference_term()}, {1, fun_term()}])
    end).

number() ->
    once(number, fun() ->
        oneof([range(-300, 300), near_power(), big(), small_float(), any_float(), near_float()])
    end).

%% PropEr takes longer to build a type than to draw from it.
once(Name, Build) ->
    case persistent_term:get({?MODULE, Name}, none) of
        none ->
            Type = Build(),
            persistent_term:put({?MODULE, Name}, Type),
            Type;
        Type -> Type
    end.

byte() -> range(0, 255).

near_power() ->
    ?LET({E, Step, Sign}, {range(0, 1100), range(-2, 2), elements([1, -1])},
         Sign * ((1 bsl E) + Step)).

%% Some with many zeros at the end, some above the largest float.
big() ->
    ?LET({Bytes, Zeros, Sign},
         {?LET(N, range(1, 40), vector(N, byte())),
          elements([0, 0, 1, 64, 3000]),
          elements([1, -1])},
         Sign * (binary:decode_unsigned(list_to_binary(Bytes)) bsl Zeros)).

small_float() -> ?LET(Half, range(-8, 8), Half / 2).

any_float() ->
    oneof([?LET(Bits, range(0, (1 bsl 64) - 1), float_of(Bits)),
           ?LET({Bits, Sign}, {range(1, (1 bsl 52) - 1), range(0, 1)},
                float_of(Sign bsl 63 bor Bits)),
           elements([0.0, -0.0, 5.0e-324, -5.0e-324, 2.2250738585072014e-308,
                     1.7976931348623157e308, -1.7976931348623157e308])]).

%% A power of two, or an integer, and the floats beside it.
near_float() ->
    ?LET({Near, Step}, {oneof([near_power(), big()]), range(-2, 2)},
         case abs(Near) < 1 bsl 1023 of
             true -> <<Bits:64>> = <<(float(Near))/float>>, float_of(Bits + Step);
             false -> 1.0e308
         end).

float_of(Bits) ->
    case <<(abs(Bits)):64>> of
        <<Float/float>> -> Float;
        _ -> 0.5
    end.

atom() ->
    oneof([elements([a, b, ab, '', undefined, true, 'Elixir.Enum',
                     list_to_atom(lists:duplicate(255, 233)),
                     list_to_atom(lists:duplicate(255, 128512))]), text_atom()]).

text_atom() ->
    Char = elements([0, 1, 2, $a, $b, 127, 128, 233, 255, 256, 8364, 65535, 128512]),
    ?LET(N, range(0, 3), ?LET(Text, vector(N, Char), list_to_atom(Text))).

bits() ->
    Byte = oneof([byte(), elements([0, 0, 1, 254, 255])]),
    ?LET({N, Size}, {range(0, 9), range(0, 7)},
         ?LET({Bytes, Last}, {vector(N, Byte), byte()},
              <<(list_to_binary(Bytes))/binary, Last:Size>>)).

%%% Terms that name something somewhere, in all the forms in which a peer may send them

pid_term() ->
    ?LET({Form, Node, Id, Serial, Creation},
         {range(1, 4), node_name(), range(0, 32767), range(0, 8191), range(0, 3)},
         case Form of
             1 -> self();
             2 -> list_to_pid("<0.9.0>");
             3 -> from_etf([103, Node, <<Id:32, Serial:32, Creation>>]);
             4 -> from_etf([88, Node, <<Id:32, Serial:32, (Creation * 999999):32>>])
         end).

port_term() ->
    ?LET({Form, Node, Id, Creation},
         {range(1, 4), node_name(), range(0, (1 bsl 28) - 1), range(0, 3)},
         case Form of
             1 -> hd(erlang:ports());
             2 -> from_etf([102, Node, <<Id:32, Creation>>]);
             3 -> from_etf([89, Node, <<Id:32, (Creation * 999999):32>>]);
             4 -> from_etf([120, <<100, 3:16>>, "a@b", <<(Id bsl 20):64, Creation:32>>])
         end).

reference_term() ->
    ?LET({Form, Node, N, Word, Creation},
         {range(1, 5), node_name(), range(1, 5), oneof([0, range(0, 1 bsl 18 - 1)]),
          range(0, 3)},
         case Form of
             1 -> make_ref();
             2 -> long_reference();
             3 -> from_etf([114, <<3:16>>, Node, Creation, <<Word:32, Word:32, Word:32>>]);
             4 -> from_etf([90, <<3:16>>, Node, <<Creation:32, Word:32, 1:32, 2:32>>]);
             5 -> from_etf([90, <<N:16, 100, 3:16>>, "a@b", <<Creation:32>>,
                            lists:duplicate(N, <<Word:32>>)])
         end).

%% An alias has more words than other references.
long_reference() ->
    Alias = erlang:alias(),
    true = erlang:unalias(Alias),
    Alias.

fun_term() ->
    ?LET({M, F, A}, {text_atom(), text_atom(), byte()}, erlang:make_fun(M, F, A)).

node_name() ->
    elements([[<<100, 3:16>>, "a@b"], [<<115, 3>>, [233], "@b"],
              [<<119, 4>>, <<"é@b"/utf8>>], [<<118, 5:16>>, <<"€@b"/utf8>>],
              [<<119, 13>>, "nonode@nohost"]]).

from_etf(Data) -> binary_to_term(iolist_to_binary([131 | Data])).
